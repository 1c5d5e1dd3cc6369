package convert

import (
	"strings"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

// scanner walks through a text, and knows where it is.
type scanner struct {
	path string
	text string
	i    int
	at   tomlfile.Position
}

func newScanner(path, text string) *scanner {
	return &scanner{path: path, text: text, at: tomlfile.Position{Line: 1, Column: 1}}
}

func (s *scanner) done() bool { return s.i >= len(s.text) }

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.done() {
		return 0
	}
	return s.text[s.i]
}

// next takes a byte.
func (s *scanner) next() byte {
	c := s.text[s.i]
	s.i++
	if c == '\n' {
		s.at = tomlfile.Position{Line: s.at.Line + 1, Column: 1}
	} else {
		s.at.Column++
	}
	return c
}

// skipLine takes the rest of the line, without its end.
func (s *scanner) skipLine() (rest string) {
	start := s.i
	for !s.done() && s.peek() != '\n' {
		s.next()
	}
	return s.text[start:s.i]
}

// skipBlanks takes blanks, ends of lines, and comments, which begin with #.
func (s *scanner) skipBlanks() {
	for !s.done() {
		switch s.peek() {
		case ' ', '\t', '\r', '\n':
			s.next()
		case '#':
			s.skipLine()
		default:
			return
		}
	}
}

// blockEnds takes what ends a block, if that is next: the } of the directive that it is of, or the end of the file.
func (s *scanner) blockEnds(in *directive) (end bool, err error) {
	s.skipBlanks()
	switch {
	case s.done() && in != nil:
		return true, in.problem("%s: the } at its end is missing", in)
	case s.done():
		return true, nil
	case s.peek() == '}' && in != nil:
		s.next()
		return true, nil
	}
	return false, nil
}

// hasPrefix reports what stands next.
func (s *scanner) hasPrefix(text string) bool { return strings.HasPrefix(s.text[s.i:], text) }

func (s *scanner) problem(at tomlfile.Position, text string) error {
	return &tomlfile.Problem{Path: s.path, At: at, Text: text}
}

// quoted takes a text in quotes, the first of which is next. escapes are the bytes that a backslash
// before them is left out of.
func (s *scanner) quoted(escapes string) (string, error) {
	at := s.at
	quote := s.next()
	var b strings.Builder
	for !s.done() {
		c := s.next()
		switch {
		case c == quote:
			return b.String(), nil
		case c == '\\' && !s.done() && strings.IndexByte(escapes, s.peek()) >= 0:
			c = s.next()
		}
		b.WriteByte(c)
	}
	return "", s.problem(at, string(quote)+": the end of these quotes is missing")
}

// unexpected is the error for a byte that nothing begins with.
func (s *scanner) unexpected(want string) error {
	r, _ := utf8.DecodeRuneInString(s.text[s.i:])
	return s.problem(s.at, "there is "+quotedRune(r)+", want "+want)
}

func quotedRune(r rune) string { return "\"" + string(r) + "\"" }
