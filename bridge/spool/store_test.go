package spool

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestNewRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		config Config
		want   string
	}{
		{"negative buffer", Config{Buffer: -1}, "Buffer is -1"},
		{"negative memory", Config{Memory: -2}, "Memory is -2"},
		{"negative disk", Config{Disk: -3}, "Disk is -3"},
		{"negative files", Config{Files: -4}, "Files is -4"},
		{"no directory", Config{Dir: "/nowhere/at/all"}, "in /nowhere/at/all: no such file"},
		{"a file", Config{Dir: file}, "in " + file + ": not a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.config)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	want := Config{Dir: os.Getenv("TMPDIR"), Buffer: 256 << 10, Memory: 64 << 20, Disk: 4 << 30, Files: DefaultFiles(descriptors()), Logger: s.config.Logger}
	if s.config != want || want.Files < 1 {
		t.Errorf("configuration %+v, want %+v", s.config, want)
	}
}

func TestChunkClasses(t *testing.T) {
	for _, tt := range []struct {
		largest int
		want    []int
	}{
		{1, []int{1}},
		{4096, []int{4096}},
		{4097, []int{4096, 4097}},
		{64 << 10, []int{4 << 10, 16 << 10, 64 << 10}},
		{100 << 10, []int{4 << 10, 16 << 10, 64 << 10, 100 << 10}},
	} {
		var got []int
		for _, c := range chunkClasses(tt.largest) {
			got = append(got, c.size)
		}
		if len(got) != len(tt.want) {
			t.Errorf("classes up to %d: %v, want %v", tt.largest, got, tt.want)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("classes up to %d: %v, want %v", tt.largest, got, tt.want)
			}
		}
	}
}

func TestTemporaryFileIsPrivate(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, Config{Dir: dir, Buffer: 8})
	b := s.NewBuffer(Owner{}, -1)
	defer b.Close()
	mustWrite(t, b, pattern(100))

	info, err := b.file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if links := info.Sys().(*syscall.Stat_t).Nlink; links != 0 {
		t.Errorf("%d links, want none", links)
	}
	if names, err := fs.Glob(os.DirFS(dir), "*"); err != nil || len(names) > 0 {
		t.Errorf("directory holds %q, %v", names, err)
	}
}

// A file that lost bytes is an error, never the end of the body.
func TestFileLostBytes(t *testing.T) {
	s := newStore(t, Config{Buffer: 8})
	b, p := s.NewBuffer(Owner{}, -1), s.NewPipe(Owner{})
	defer b.Close()
	defer p.Close()
	mustWrite(t, b, pattern(100))
	mustWrite(t, p, pattern(100))
	mustRead(t, p, pattern(8))
	for name, f := range map[string]struct {
		file *os.File
		r    io.Reader
	}{"buffer": {b.file, b.NewReader()}, "pipe": {p.file, p}} {
		if err := f.file.Truncate(50); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f.r)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), s.config.Dir) {
			t.Errorf("%s: read %d bytes, %v, want an unexpected EOF and the directory", name, len(got), err)
		}
	}
}
