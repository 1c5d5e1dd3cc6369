package cgi

import (
	"slices"
	"strings"
)

// maxStars is how many "*" a pattern may have.
const maxStars = 4

// pattern is a path in which it matters what each "*" stands for. The last one may stand for any run
// of characters, the others for as short a run as there is, without "/": "/_export/*/*" finds the
// format and the page.
type pattern struct {
	text  string
	parts []string // around the stars
}

// stars is what the stars of a pattern stand for.
type stars struct {
	list [maxStars]string
	n    int
}

func newPattern(text string) pattern { return pattern{text, strings.Split(text, "*")} }

func (p *pattern) stars() int { return len(p.parts) - 1 }

// match reports whether p matches all of s.
func (p *pattern) match(s string) (found stars, ok bool) {
	last := p.stars()
	if last == 0 {
		return found, s == p.text
	}
	if s, ok = strings.CutPrefix(s, p.parts[0]); !ok {
		return found, false
	}
	for _, part := range p.parts[1:last] {
		i := strings.Index(s, part)
		if i < 0 || strings.IndexByte(s[:i], '/') >= 0 {
			return found, false
		}
		found.add(s[:i])
		s = s[i+len(part):]
	}
	if s, ok = strings.CutSuffix(s, p.parts[last]); !ok {
		return found, false
	}
	found.add(s)
	return found, true
}

// covers reports whether p certainly matches all that other does.
func (p *pattern) covers(other *pattern) bool {
	if p.text == other.text {
		return true
	}
	_, ok := p.match(other.text)
	return ok && p.stars() == 1
}

func (s *stars) add(text string) {
	s.list[s.n] = text
	s.n++
}

// matchesAny reports whether one of the patterns matches s.
func matchesAny(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return Matches(p, s) })
}

// template is a text into which what stars stand for is inserted.
type template []string // around the stars

func newTemplate(text string) template { return strings.Split(text, "*") }

func (t template) stars() int { return len(t) - 1 }

// expand inserts the stars from the given one on, each as escape returns it.
func (t template) expand(s *stars, from int, escape func(string) string) string {
	if len(t) == 1 {
		return t[0]
	}
	var b strings.Builder
	for i, part := range t {
		if i > 0 {
			b.WriteString(escape(s.list[from+i-1]))
		}
		b.WriteString(part)
	}
	return b.String()
}

func asIs(s string) string { return s }
