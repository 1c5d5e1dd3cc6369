package tomlfile

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Position is where something stands in a file, counted from 1. The column counts bytes.
type Position struct{ Line, Column int }

// Problem is something wrong in a file.
type Problem struct {
	Path string
	At   Position // zero: the whole file
	Text string
}

// Error implements error: "sluice.toml:3:1: what is wrong".
func (p *Problem) Error() string {
	if p.At == (Position{}) {
		return p.Path + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.Path, p.At.Line, p.At.Column, p.Text)
}

// Problems is all that is wrong in a file, in the order of the positions.
type Problems []*Problem

// Error implements error, with a line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// asError returns p in order, nil if there is none.
func (p Problems) asError() error {
	if len(p) == 0 {
		return nil
	}
	return p.InOrder()
}

// InOrder sorts p, and returns it.
func (p Problems) InOrder() Problems {
	slices.SortStableFunc(p, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
	})
	return p
}

// errorKey matches the key that an error of a setting begins with.
var errorKey = regexp.MustCompile(`^(?:cgi: )?([a-z_]+(?:\.[a-z_]+)*)(?: |:)`)

// keyOf returns the key that err begins with, "" if it begins with none.
func keyOf(err error) string {
	if m := errorKey.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return ""
}
