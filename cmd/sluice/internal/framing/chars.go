package framing

// kind is what a byte may be part of.
type kind uint8

const (
	token  kind = 1 << iota // tchar (RFC 9110, section 5.6.2)
	value                   // of a field: VCHAR, obs-text, SP and HTAB (section 5.5)
	target                  // of a request: VCHAR, and obs-text, which old clients send unescaped
	hex
	name // of a host, as nearly all are: letters, digits, "." and "-"
)

// kindOf is the kind of each byte.
var kindOf = func() (table [256]kind) {
	for i := range table {
		c := byte(i)
		alphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		switch {
		case alphanumeric:
			table[c] |= token | name
		case c == ' ', c == '\t':
			table[c] |= value
		}
		if c > ' ' && c != 0x7f {
			table[c] |= value | target
		}
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' {
			table[c] |= hex
		}
	}
	for _, c := range []byte("!#$%&'*+-.^_`|~") {
		table[c] |= token
	}
	table['.'] |= name
	table['-'] |= name
	return table
}()

// all reports whether all of b is of that kind.
func all(b []byte, k kind) bool {
	for _, c := range b {
		if kindOf[c]&k == 0 {
			return false
		}
	}
	return true
}

// equalFold reports whether b is word, which is lower case, in any case.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// trim takes optional whitespace (SP and HTAB) off both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
