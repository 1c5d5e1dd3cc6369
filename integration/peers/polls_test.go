package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func open(t *testing.T, n int, app http.HandlerFunc) *polls {
	t.Helper()
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	p, err := openPolls(t.Context(), server.Listener.Addr().String(), n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

func TestPollsThatAreHeld(t *testing.T) {
	const n = 3
	cookies := make(chan string, n)
	p := open(t, n, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hold/10m" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		cookies <- r.Header.Get("Cookie")
		<-r.Context().Done()
	})
	seen := make(map[string]bool)
	for range n {
		seen[<-cookies] = true
	}
	if len(seen) != n {
		t.Errorf("the polls come from %d clients, want %d", len(seen), n)
	}
	if err := p.waiting(); err != nil {
		t.Error(err)
	}
	p.close()
	if err := p.waiting(); err != nil {
		t.Errorf("the end was taken for an answer: %v", err)
	}
}

func TestPollsThatAreAnswered(t *testing.T) {
	p := open(t, 2, func(http.ResponseWriter, *http.Request) {})
	p.readers.Wait()
	if p.waiting() == nil {
		t.Error("answered polls count as held")
	}
}

func TestPollsThatNobodyTakes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if _, err := openPolls(t.Context(), ln.Addr().String(), 1); err == nil {
		t.Error("no error")
	}
}
