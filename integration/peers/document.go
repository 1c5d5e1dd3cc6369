package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The part of docs/benchmarks.md that is measured is between these lines; the rest is written by hand.
const (
	measuredBegin = "<!-- measured: make bench-peers -->\n"
	measuredEnd   = "<!-- end of what is measured -->\n"
)

// document writes the tables into benchmarks.md in dir, and the pictures beside it.
func (b *bench) document(dir, table string) error {
	path := filepath.Join(dir, "benchmarks.md")
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := replaceMeasured(string(old), table+b.pictures())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return errors.Join(os.WriteFile(path, []byte(text), 0o644), b.draw(dir))
}

// pictures are the links to what draw draws.
func (b *bench) pictures() string {
	links := "\n![CPU per request](benchmarks-cpu.svg)\n"
	if len(b.opts.parked) > 0 {
		links += "![Memory of a parked long-poll](benchmarks-parked.svg)\n"
	}
	if len(b.opts.crowds) > 0 {
		links += "![Pages in time](benchmarks-goodput.svg)\n"
	}
	return links
}

func replaceMeasured(text, table string) (string, error) {
	before, rest, begins := strings.Cut(text, measuredBegin)
	_, after, ends := strings.Cut(rest, measuredEnd)
	if !begins || !ends {
		return "", fmt.Errorf("the lines %q and %q are not there", strings.TrimSpace(measuredBegin), strings.TrimSpace(measuredEnd))
	}
	return before + measuredBegin + "\n" + table + "\n" + measuredEnd + after, nil
}
