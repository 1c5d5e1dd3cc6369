package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRoutes(t *testing.T) {
	app := routes(make([]byte, 1000))
	for _, tc := range []struct {
		method, path, body string
		length             int
	}{
		{"GET", "/bytes/0", "", 0},
		{"GET", "/bytes/1000", "", 1000},
		{"GET", "/hold/1ms", "", smallReply},
		{"GET", "/locked/1ms", "", smallReply},
		{"POST", "/discard", "some body", smallReply},
	} {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body)))
		if w.Code != http.StatusOK || w.Body.Len() != tc.length {
			t.Errorf("%s %s: status %d with %d bytes, want 200 with %d", tc.method, tc.path, w.Code, w.Body.Len(), tc.length)
		}
	}
	for _, path := range []string{"/bytes/1001", "/bytes/-1", "/bytes/many", "/hold/long", "/locked/long"} {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", path, w.Code)
		}
	}
}
