package proc

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

const (
	tailLines = 10  // lines that are kept
	tailWidth = 400 // bytes that are kept of a line
)

// tail keeps the last lines of a text.
type tail struct {
	kept []string // the oldest first
	part []byte   // the beginning of the current line; at most tailWidth bytes
	cut  int      // bytes of that line beyond part
}

func (t *tail) write(p []byte) {
	for {
		line, rest, found := bytes.Cut(p, []byte{'\n'})
		n := min(len(line), tailWidth-len(t.part))
		t.part = append(t.part, line[:n]...)
		t.cut += len(line) - n
		if !found {
			return
		}
		t.end()
		p = rest
	}
}

// end ends the current line. Empty lines are not kept.
func (t *tail) end() {
	if line := t.current(); line != "" {
		if len(t.kept) == tailLines {
			t.kept = slices.Delete(t.kept, 0, 1)
		}
		t.kept = append(t.kept, line)
	}
	t.part, t.cut = t.part[:0], 0
}

func (t *tail) current() string {
	text := strings.TrimRight(strings.ToValidUTF8(string(t.part), "\ufffd"), "\r")
	if t.cut > 0 {
		text += fmt.Sprintf(" [%d bytes more]", t.cut)
	}
	return text
}

// lines are the last lines, with the current one.
func (t *tail) lines() []string {
	list := slices.Clone(t.kept)
	if line := t.current(); line != "" {
		list = append(list, line)
	}
	return list
}
