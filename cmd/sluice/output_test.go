package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// full is a disk that has no room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// Output that cannot be written is a failure, and no mistake in the command line.
func TestNoRoomForOutput(t *testing.T) {
	for _, args := range [][]string{
		{"serve", "--print-config", "--backend", "unix:/run/app.sock"},
		{"config", "example"},
		{"config", "schema"},
	} {
		root := rootCommand()
		root.SetArgs(args)
		root.SetOut(full{})
		if exit := exitStatus(root.Execute(), io.Discard); exit != 1 {
			t.Errorf("%q: exit status %d, want 1", args, exit)
		}
	}
}

// What a change has come to is on standard output. The address may be that of a browser.
func TestChangeSaysSo(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path+"\n") }))
	defer s.Close()
	path := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer func(was *os.File) { os.Stdout = was }(os.Stdout)
	os.Stdout = out
	for _, addr := range []string{s.URL, s.URL + "/", s.Listener.Addr().String()} {
		if exit := run([]string{"reload", addr}, io.Discard); exit != 0 {
			t.Errorf("%s: exit status %d", addr, exit)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "/reload\n/reload\n/reload\n" {
		t.Errorf("%q, %v", text, err)
	}
}
