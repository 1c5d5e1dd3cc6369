//go:build linux

package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// startWithFiles runs a gate that may have so many files open.
func startWithFiles(t testing.TB, files int, args ...string) sluice {
	t.Helper()
	return startGateAs(t, []string{need(t, "prlimit"), fmt.Sprintf("--nofile=%d:%[1]d", files)}, t.TempDir(), args...)
}

// One address opens far more connections than there can be, of every kind. The others
// come in as if it were not there, so does who asks for the status, and the log stays
// short.
func TestFloodOfConnections(t *testing.T) {
	const files = 400
	for kind, open := range map[string]func(net.Conn){
		"kept": func(c net.Conn) {
			send(c, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
			}
		},
		"silent":             func(net.Conn) {},
		"half a header":      func(c net.Conn) { send(c, "GET /hello HTTP/1.1\r\nHost: ") },
		"half a body":        func(c net.Conn) { send(c, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx") },
		"slow to take pages": func(c net.Conn) { send(c, "GET /download?n=8000000 HTTP/1.1\r\nHost: x\r\n\r\n") },
	} {
		t.Run(kind, func(t *testing.T) {
			be := startLibfcgi(t, 4)
			gate := startWithFiles(t, files, append(be.args(), "--spool-disk", "64MiB")...)
			side := gate.side(t)
			good := clientAt(t, goodFrom, gate.url, false) // each request is a new connection
			most := readState(t, side).Front.Connections.Max
			if most < 50 || most > files/2 {
				t.Fatalf("at most %d connections with %d files", most, files)
			}
			for i := range files {
				open(connect(t, floodFrom, gate.url))
				if i%20 == 0 {
					wantServed(t, good, 200)
				}
			}
			for range 20 {
				wantServed(t, good, 200, 20<<10)
				side.get(t, "/healthz")
			}
			s := readState(t, side).Front.Connections
			if s.Open > most || s.ClosedIdle+s.CutActive+s.Refused < uint64(files-most) {
				t.Errorf("%+v after %d connections", s, files)
			}
			if n := openFiles(t, gate.Process.Pid); n > files*3/4 {
				t.Errorf("%d of %d files are open", n, files)
			}
			if n := strings.Count(gate.output.String(), "\n"); n > 10 {
				t.Errorf("%d lines in the log", n)
			}
		})
	}
}

// A kept connection of somebody with few is not given up for somebody with many.
func TestKeptConnectionBesideFlood(t *testing.T) {
	be := startLibfcgi(t, 4)
	gate := startWithFiles(t, 400, be.args()...)
	good := clientAt(t, goodFrom, gate.url, true)
	wantServed(t, good)
	c := connect(t, goodFrom, gate.url)
	in := bufio.NewReader(c)
	for range 3 {
		send(c, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "hello\n" {
			t.Fatalf("got %q, %v", body, err)
		}
		for range 300 {
			connect(t, floodFrom, gate.url)
		}
	}
}

// Everybody comes by way of a proxy that nobody has declared, and there are more requests
// than connections: those that find no room wait for it.
func TestMoreRequestsThanConnections(t *testing.T) {
	be := startGo(t, 4)
	gate := startSluice(t, append(be.args(), "--max-connections", "20")...)
	s := newSite(t, gate.url)
	ended := make(chan error, 22)
	for range 22 { // 20, and an eighth that may wait
		go func() {
			resp, body, err := s.try(s.request(t, http.MethodPost, "/body", io.MultiReader(strings.NewReader("body"))))
			if err == nil && (resp.StatusCode != http.StatusOK || vars(body)["length"] != "4") {
				err = errors.New(resp.Status)
			}
			ended <- err
		}()
	}
	for range 22 {
		if err := within(t, "a request", ended); err != nil {
			t.Error(err)
		}
	}
}
