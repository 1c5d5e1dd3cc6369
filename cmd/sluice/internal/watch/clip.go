package watch

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// clip returns s without what is not printable, cut to a number of cells of the terminal.
func clip(s string, cells int) string {
	var b strings.Builder
	used := 0
	for _, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			r = '?'
		}
		n := cellsOf(r)
		if used += n; used > cells {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cellsOf is how many cells a printable rune takes.
func cellsOf(r rune) int {
	switch k := width.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case k == width.EastAsianWide || k == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cells is how many cells s takes.
func cells(s string) (n int) {
	for _, r := range s {
		n += cellsOf(r)
	}
	return n
}

func padRight(s string, n int) string {
	s = clip(s, n)
	return s + strings.Repeat(" ", n-cells(s))
}

func padLeft(s string, n int) string {
	s = clip(s, n)
	return strings.Repeat(" ", n-cells(s)) + s
}

// short returns the end of an address, which tells it from others.
func short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return "…" + string(r[len(r)-n+1:])
}
