package framing

// charClass is a set of the constants below: what a byte may be a part of.
type charClass uint8

const (
	token  charClass = 1 << iota // tchar (RFC 9110, section 5.6.2)
	value                        // a field value: VCHAR, obs-text, SP and HTAB (section 5.5)
	target                       // a request target: VCHAR, and obs-text, which old clients send unescaped
	hex
	name // a usual host name: letters, digits, "." and "-"
)

// classOf has the class of each byte.
var classOf = func() (table [256]charClass) {
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

// all reports whether all bytes of b are in class k.
func all(b []byte, k charClass) bool {
	for _, c := range b {
		if classOf[c]&k == 0 {
			return false
		}
	}
	return true
}

// equalFold reports whether b equals word, which is in lower case, without regard to case.
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

// trim removes optional whitespace (SP and HTAB) at both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
