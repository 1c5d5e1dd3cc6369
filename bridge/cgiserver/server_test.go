package cgiserver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
)

// Shutdown closes connections without a request, waits for those with one, and closes them after
// their answer; Close ends the requests.
func TestShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &cgiserver.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			text("x")(w, r)
		})}
		idle, busy := connect(t, s), connect(t, s)
		busy.send(beginKeep, get, paramsEnd, stdinEnd)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		idle.closed()
		close(release)
		busy.expect(record(6, head), record(6, "x"), stdoutEnd, complete)
		busy.closed()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		late := connect(t, s)
		<-late.gone
	})
}

// Close ends the contexts of requests, and waits for their handlers.
func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ended := false
		s := &cgiserver.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			time.Sleep(time.Second)
			ended = true
		})}
		p := connect(t, s)
		p.send(beginKeep, get, paramsEnd, stdinEnd)
		synctest.Wait()
		if _ = s.Close(); !ended {
			t.Error("the handler has not returned")
		}
	})
}

// Close does so also where the goroutine that reads waits for a handler to read its body.
func TestCloseWithUnreadBody(t *testing.T) {
	for _, protocol := range []cgiserver.Protocol{cgiserver.FastCGI, cgiserver.SCGI} {
		bubble(t, func(t *testing.T) {
			s := &cgiserver.Server{Protocol: protocol, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}
			p := connect(t, s)
			piece := strings.Repeat("x", 200)
			if protocol == cgiserver.SCGI {
				p.send(netstring("CONTENT_LENGTH", "1000000", "SCGI", "1", "REQUEST_METHOD", "POST", "REQUEST_URI", "/"))
			} else {
				p.send(beginKeep, get, paramsEnd)
				piece = record(5, piece)
			}
			_ = p.conn.SetWriteDeadline(time.Now().Add(time.Second))
			for sent := 0; ; sent += len(piece) {
				if _, err := io.WriteString(p.conn, piece); err != nil {
					break
				}
			}
			_ = s.Close()
			p.closed()
		})
	}
}

// ConnState is told what an http.Server tells its own.
func TestConnState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var states []http.ConnState
		s := &cgiserver.Server{Handler: text("x"), ConnState: func(_ net.Conn, s http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, s)
		}}
		p := connect(t, s)
		p.send(beginKeep, get, paramsEnd, stdinEnd)
		p.expect(record(6, head), record(6, "x"), stdoutEnd, complete)
		p.silent()
		_ = p.conn.Close()
		<-p.gone
		_ = s.Close()
		want := []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateClosed}
		if !slices.Equal(states, want) {
			t.Errorf("%v, want %v", states, want)
		}
	})
}

// A connection that was closed to make room is not given to the handler.
func TestClosedForAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &cgiserver.Server{
			Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }),
			ConnState: func(c net.Conn, s http.ConnState) {
				if s == http.StateActive {
					_ = c.Close()
				}
			},
		}
		for _, protocol := range []cgiserver.Protocol{cgiserver.FastCGI, cgiserver.SCGI} {
			s.Protocol = protocol
			p := connect(t, s)
			if protocol == cgiserver.FastCGI {
				go func() { _, _ = p.conn.Write([]byte(beginKeep + get + paramsEnd + stdinEnd)) }()
			} else {
				go func() { _, _ = p.conn.Write([]byte(netstring("CONTENT_LENGTH", "0", "SCGI", "1", "REQUEST_URI", "/"))) }()
			}
			<-p.gone
		}
	})
}

// Serve takes no more connections than MaxConns, and ends with the server.
func TestServe(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	s := &cgiserver.Server{Handler: text("x"), MaxConns: 1}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	ask := func(keep string) net.Conn {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(keep + get + paramsEnd + stdinEnd)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	want := record(6, head) + record(6, "x") + stdoutEnd + complete
	read := func(c net.Conn) {
		t.Helper()
		p := &peer{t: t, conn: c, log: new(logs)}
		p.expect(want)
	}
	one := ask(beginKeep)
	read(one)
	two := ask(begin)
	_ = two.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := two.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("there are two connections")
	}
	_ = one.Close()
	read(two)
	_ = two.Close()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, cgiserver.ErrServerClosed) {
		t.Error(err)
	}
	if err := s.Serve(l); !errors.Is(err, cgiserver.ErrServerClosed) {
		t.Error(err)
	}
}

func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0") // nginx: fastcgi_pass 127.0.0.1:9001;
	if err != nil {
		fmt.Println(err)
		return
	}
	s := &cgiserver.Server{Handler: http.NotFoundHandler()} // a *bridge.Handler, usually
	go func() { _ = s.Close() }()
	fmt.Println(s.Serve(l))
	// Output: cgiserver: server closed
}
