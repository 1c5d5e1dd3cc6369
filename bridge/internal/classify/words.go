package classify

import (
	"strings"
	"unicode/utf8"
)

// Operators see routes, and paths carry secrets: keys of password resets, invitations and
// shares, e-mail addresses, session ids. A route shows only what is made of words. Whether a
// text is a word can only be guessed. In doubt a text is left out, which costs the route a
// name; TestRandomKeysAreNotShown has how many random keys are taken for words all the same.
const (
	maxWord   = 24 // letters
	maxWords  = 6  // of a segment
	shortWord = 8  // letters; up to that many, anything passes
	longWord  = 13 // letters; from so many on, it must be very familiar
	shortName = 9  // letters of several words, as in "SandBox"; the same
	maxNumber = 4  // digits, beside words: a year
	maxEnding = 2  // digits at a word's end: mp3, v2
	// shortestHex is from how many hexadecimal digits on a text is a checksum.
	shortestHex = 8
)

// isWords reports whether s consists of words, with few digits between and after them,
// and whether one of the words indicates that the next segment of a path is a secret.
func isWords(s string) (plain, secretNext bool) {
	words, letters, numbers := 0, 0, 0
	for i := 0; i < len(s); {
		switch class := classOf[s[i]]; {
		case class&(letter|hexLetter) != 0:
			end, ok := readRun(s, i, func(word string) {
				secretNext = secretNext || precedesSecret(word)
				words, letters = words+1, letters+len(word)
			})
			if !ok {
				return false, false
			}
			n := digits(s[end:])
			if n > maxEnding || n > 0 && end+n < len(s) && isLetter(s[end+n]) {
				return false, false
			}
			i = end + n
		case class == digit:
			n := digits(s[i:])
			if numbers++; numbers > 1 || n > maxNumber || i+n < len(s) && isLetter(s[i+n]) {
				return false, false
			}
			i += n
		case s[i] >= utf8.RuneSelf, strings.IndexByte("-_.: ", s[i]) >= 0:
			i++ // letters of other scripts are not read
		default:
			return false, false
		}
	}
	switch {
	case words > maxWords, words > 2 && letters < 3*words-1: // "a-b-c"
		return false, false
	case words == 0 && numbers > 0:
		return false, false
	case onlyHex(s) && len(s) >= shortestHex:
		return false, false
	}
	return utf8.ValidString(s), secretNext
}

// readRun calls word for each word of the run of letters that begins at s[i]. It returns
// where the run ends, and whether the run can be words. A short run that is one word, or a name
// of two or three, may have any letters.
func readRun(s string, i int, word func(string)) (end int, ok bool) {
	begin, words, acronyms, familiar := i, 0, 0, 0
	for i < len(s) && isLetter(s[i]) {
		end := wordEnd(s, i)
		w := s[i:end]
		if len(w) > maxWord {
			return end, false
		}
		if len(w) > 1 && w[1] < 'a' {
			acronyms++
		}
		familiar += familiarity(w)
		word(w)
		words, i = words+1, end
	}
	n := i - begin
	switch {
	case words == 1 && n <= shortWord, words > 1 && n <= shortName && n >= 3*words:
		return i, true
	case words > 1 && (acronyms > 1 || n < 3*words):
		return i, false
	}
	return i, isFamiliar(familiar, n)
}

// wordEnd returns where the word that begins at s[i] ends: before a capital, but
// acronyms are one, as in "RSSFeed".
func wordEnd(s string, i int) int {
	end := i + 1
	upper := func(i int) bool { return i < len(s) && 'A' <= s[i] && s[i] <= 'Z' }
	lower := func(i int) bool { return i < len(s) && 'a' <= s[i] && s[i] <= 'z' }
	if upper(i) && upper(end) {
		for upper(end) {
			end++
		}
		if lower(end) {
			end--
		}
		return end
	}
	for lower(end) {
		end++
	}
	return end
}

func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func onlyHex(s string) bool {
	for i := range len(s) {
		if classOf[s[i]]&(digit|hexLetter) == 0 {
			return false
		}
	}
	return true
}

// familiarity says how much s looks like words: plus one for each pair of letters that is
// common in words, minus two for each pair that is rare. Random letters have a negative sum: of 100,000 draws of 20 letters, 53 reach what isFamiliar asks for.
func familiarity(s string) (sum int) {
	for i := 1; i < len(s); i++ {
		first, second := s[i-1]|0x20-'a', uint32(1)<<(s[i]|0x20-'a')
		switch {
		case commonPairs[first]&second != 0:
			sum++
		case somePairs[first]&second == 0:
			sum -= 2
		}
	}
	return sum
}

// isFamiliar reports whether a run of so many letters with that familiarity is taken for words.
func isFamiliar(familiarity, letters int) bool {
	if letters < longWord {
		return familiarity >= -1
	}
	return 10*familiarity > 3*letters
}

// The letters that follow each letter, a to z, in words of English, German, French, Spanish or
// Italian: in at least 6 of 100 cases (commonPairs), and in at least 2 (somePairs).
var (
	commonPairs = pairs(
		"bdilmnrstuv", "abeiloru", "acehikortu", "aeior", "dilmnrstz", "aefilortu", "aeghilnorsu", "aeilortu",
		"acdeglmnost", "aeiou", "aegilorstuy", "aeiloty", "abeimop", "acdeginost", "lmnrsu", "aefhilopru",
		"u", "aeiorst", "acehiost", "aehiort", "aefilmnrst", "aeio", "aehilorst", "aceiopt", "aeilmnopsu",
		"aeiouz",
	)
	somePairs = pairs(
		"cfghp", "gst", "l", "dglsu", "abceguv", "gs", "ty", "mnswy", "bfrvz", "", "bhn", "bdmnsu", "stu",
		"kz", "abcdfghioptvw", "st", "", "bcdgkmnuy", "lmpu", "suyz", "bcdgopv", "rv", "nu", "hkuy", "bcdkrtw",
		"glntwy",
	)
)

func pairs(after ...string) (table [26]uint32) {
	for i, letters := range after {
		for _, c := range letters {
			table[i] |= 1 << (c - 'a')
		}
	}
	return table
}

// precedesSecret reports whether a word of a path indicates that a secret follows.
func precedesSecret(word string) bool {
	var lower [maxWord]byte
	for i := range len(word) {
		lower[i] = word[i] | 0x20
	}
	switch string(lower[:len(word)]) {
	case "reset", "password", "passwd", "pwd", "forgot", "recover", "recovery", "token", "tokens", "secret", "secrets",
		"key", "keys", "apikey", "auth", "oauth", "otp", "sso", "magic", "signup", "register", "registration",
		"invite", "invites", "invitation", "invitations", "confirm", "confirmation", "verify", "verification",
		"activate", "activation", "unsubscribe", "optout", "share", "shared", "session", "sessions", "sid",
		"email", "emails", "mail", "code", "hash", "signature":
		return true
	}
	return false
}
