//go:build linux

package caddy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Clients are held behind Caddy as well, for a goroutine each, over a reload that changes nothing of
// theirs. What is published at the admin API reaches them.
func TestHeld(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	var gone atomic.Int32
	app := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Grip-Sig") == "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if r.Method == http.MethodPost {
			if r.URL.Path != "/left" || r.Header.Get("X-Who") != "ann" || r.ContentLength > 0 {
				t.Errorf("%s %v %d", r.URL, r.Header, r.ContentLength)
			}
			gone.Add(1)
			return
		}
		w.Header().Set("Grip-Link", "</left>; rel=gone")
		w.Header().Set("Grip-Hold", strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("Grip-Channel", "news")
		_, _ = io.WriteString(w, "begin.")
	})
	directives := func(workers int) string {
		return fmt.Sprintf("sluice %s {\nworkers %d\nhold %s {\nclients 100\n}\n}", app.addr, workers, file)
	}
	s := start(t, directives(2))
	const n = 10
	answers := make(chan reply, n)
	for range n {
		go func() { answers <- s.ask("GET", "/response", "", "X-Who", "ann") }()
	}
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask.Header.Set("X-Who", "ann")
	stream, err := s.client.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	held := func(want int) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			got := 0
			for _, a := range s.state() {
				got += a.Snapshot.Hold.Clients
			}
			if got == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d clients are held, want %d", got, want)
			}
		}
	}
	held(n + 1)
	s.load(directives(3))
	held(n + 1)
	publish := func(token string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.admin+"/sluice/publish/", bytes.NewReader([]byte(
			`{"items": [{"channel": "news", "formats": {"http-response": {"body": "new"}, "http-stream": {"content": "new."}}}]}`)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		return s.do(r).status
	}
	if status := publish("another"); status != http.StatusUnauthorized {
		t.Errorf("without the key: %d", status)
	}
	if status := publish(key); status != http.StatusOK {
		t.Fatalf("publish: %d", status)
	}
	for range n {
		s.want(<-answers, 200, "new")
	}
	got := make([]byte, len("begin.new."))
	if _, err := io.ReadFull(stream.Body, got); err != nil || string(got) != "begin.new." {
		t.Errorf("%q, %v", got, err)
	}
	held(1)
	told := func(want int32) {
		t.Helper()
		for end := time.Now().Add(patience); gone.Load() != want; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d were told to be gone, want %d", gone.Load(), want)
			}
		}
	}
	told(n)
	s.load(fmt.Sprintf("sluice %s {\nworkers 3\n}", app.addr)) // nobody is held any more
	told(n + 1)
}
