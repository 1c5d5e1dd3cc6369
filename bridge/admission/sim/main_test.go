package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	dir := t.TempDir()
	var out strings.Builder
	if err := command([]string{"-seconds", "0.2", "-draw", dir}, &out); err != nil {
		t.Fatal(err)
	}
	for policy, title := range titles {
		if n := strings.Count(out.String(), "| "+title); n != 4 {
			t.Errorf("%s is in %d tables, want 4", policy, n)
		}
	}
	if n := strings.Count(out.String(), "\n| ---"); n != 5 {
		t.Errorf("%d tables, want 5", n)
	}
	for _, name := range []string{"admission.svg", "admission-load.svg", "admission-stall.svg"} {
		picture, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(picture), titles["learned"]) {
			t.Errorf("%s has no legend", name)
		}
	}
}

func TestExplore(t *testing.T) {
	var out strings.Builder
	err := command([]string{"-scenario", "stall,calm", "-policy", "fifo,learned", "-workers", "2", "-load", "0.3,0.5", "-seed", "7,8", "-seconds", "2", "-v"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "%"); n != 2*2*2*2*2 { // two figures a run
		t.Errorf("%d percentages, want 32:\n%s", n, &out)
	}
	if !strings.Contains(out.String(), "unknown") {
		t.Error("the seconds say nothing of the gate's lanes")
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{
		{"-policy", "lifo"},
		{"-scenario", "tornado"},
		{"-scenario", "calm", "-workers", "many"},
		{"-scenario", "calm", "-load", "full"},
		{"-seed", "-1"},
		{"-x"},
	} {
		if err := command(args, new(strings.Builder)); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
