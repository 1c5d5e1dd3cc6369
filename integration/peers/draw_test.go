package main

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDocument(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "benchmarks.md")
	b := &bench{
		opts: options{scenarios: scenarios[:2], parked: []int{5000}, crowds: crowds, baseline: "nginx"},
		entries: []*entry{
			{
				peer:     peer{label: "nginx"},
				samples:  map[string][]sample{"small": {{load: load{Requests: 10}, proxyCPU: time.Millisecond}}},
				parked:   []parking{{polls: 5000, grown: footprint{proxy: 5000 << 10}}},
				goodputs: map[string]goodput{"session": {sent: 10, good: 5}},
			},
			{peer: peer{label: "absent"}, failed: errors.New("not installed")},
			{peer: peer{label: "half"}, parked: []parking{{polls: 5000, failed: errors.New("too many")}}},
		},
	}
	if err := b.document(dir, "table"); err == nil {
		t.Error("there was no file to write into")
	}
	for text, want := range map[string]string{
		"no place for it\n": "",
		"before\n" + measuredBegin + "old\n" + measuredEnd + "after\n": "before\n" + measuredBegin + "\ntable\n" + b.pictures() + measuredEnd + "after\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		err := b.document(dir, "table\n")
		got, readErr := os.ReadFile(path)
		if want == "" && err == nil || want != "" && (err != nil || strings.ReplaceAll(string(got), "\n\n", "\n") != strings.ReplaceAll(want, "\n\n", "\n")) || readErr != nil {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
	for _, name := range []string{"cpu", "parked", "goodput"} {
		picture, err := os.ReadFile(filepath.Join(dir, "benchmarks-"+name+".svg"))
		if err != nil || !strings.Contains(string(picture), "nginx") || strings.Contains(string(picture), "absent") || strings.Contains(string(picture), "half") {
			t.Errorf("picture %s: %v, %d bytes", name, err, len(picture))
		}
	}
}

func TestGoodputOfNothing(t *testing.T) {
	if got := (goodput{}).share(); math.IsNaN(got) || got != 0 {
		t.Errorf("share = %v", got)
	}
}
