package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// Pages that are refused or late do not count; slow clients ask again.
func TestGoodput(t *testing.T) {
	var pages, slow atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			slow.Add(1)
			return
		}
		if pages.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	wait := crowd{slow: 2, path: "/slow"}.ask(ctx, server.URL)
	got := askPages(t.Context(), server.URL, 500*time.Millisecond)
	cancel()
	wait()
	if got.sent != 10 || got.good != 5 || got.share() != 0.5 || got.median <= 0 {
		t.Errorf("got %+v, want 5 of 10", got)
	}
	if slow.Load() <= 2 {
		t.Errorf("the slow clients asked %d times", slow.Load())
	}
}
