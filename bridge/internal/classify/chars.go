package classify

import "strings"

// charClass is what a character may be part of.
type charClass uint8

const (
	digit     charClass = 1 << iota
	hexLetter           // a to f
	letter              // the others
	dash
	mark    // what stands between words besides
	foreign // everything else
)

// classOf is the class of each character. Comparing each character with the ranges takes
// longer than everything else about a route.
var classOf = func() (table [256]charClass) {
	for i := range table {
		switch c := byte(i); {
		case '0' <= c && c <= '9':
			table[c] = digit
		case 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
			table[c] = hexLetter
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			table[c] = letter
		case c == '-':
			table[c] = dash
		case strings.IndexByte("_.:", c) >= 0:
			table[c] = mark
		default:
			table[c] = foreign
		}
	}
	return table
}()

func isDigit(c byte) bool { return classOf[c] == digit }

func isLetter(c byte) bool { return classOf[c]&(letter|hexLetter) != 0 }

func isNamePart(c byte) bool {
	return classOf[c]&(digit|letter|hexLetter|dash|mark) != 0
}
