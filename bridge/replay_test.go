package bridge

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// A kept connection turns out dead when it is used again.
func TestStaleConnection(t *testing.T) {
	// What the application does with the second request on its connection.
	eof := fcgitest.First(fcgitest.Page, fcgitest.EOFBeforeHeader)
	reset := fcgitest.First(fcgitest.Page, fcgitest.ResetBeforeReading)
	late := fcgitest.First(fcgitest.Page, fcgitest.ResetInScript)
	byteOfAnswer := fcgitest.First(fcgitest.Page, fcgitest.EOFAt(1))
	closed := fcgitest.CloseWhenIdle(time.Second)

	for name, tc := range map[string]struct {
		method   string
		script   fcgitest.Script
		attempts int
		ok       bool
	}{
		"GET, EOF":                      {"GET", eof, 2, true},
		"GET, reset":                    {"GET", reset, 2, true},
		"PUT, EOF":                      {"PUT", eof, 2, true},
		"DELETE, EOF":                   {"DELETE", eof, 2, true},
		"GET, EOF after a byte":         {"GET", byteOfAnswer, 1, false},
		"POST, EOF":                     {"POST", eof, 1, false},
		"POST, reset before it is sent": {"POST", reset, 2, true}, // all but BEGIN_REQUEST, on the first kept connection
		"POST, reset":                   {"POST", late, 1, false},
		"PATCH, EOF":                    {"PATCH", eof, 1, false},
		"GET, nothing could be sent":    {"GET", closed, 2, true},
		"POST, nothing could be sent":   {"POST", closed, 2, true},
		"PATCH, nothing could be sent":  {"PATCH", closed, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, tc.script, fcgitest.Hello)
				r.wantPage(r.get("/"))
				time.Sleep(2 * time.Second)
				re := r.do(tc.method, "/", strings.NewReader("body"))
				if tc.ok {
					r.wantPage(re)
				} else {
					r.wantError(re, 502, errIncomplete)
				}
				if o := r.outcome(); o.Attempts != tc.attempts || tc.ok == o.Reused {
					t.Errorf("%d attempts, reused %v, want %d", o.Attempts, o.Reused, tc.attempts)
				}
				if n := r.peer.Accepted(); n != tc.attempts {
					t.Errorf("%d connections, want %d", n, tc.attempts)
				}
				if got := r.peer.Requests(); tc.ok && string(got[len(got)-1].Stdin) != "body" {
					t.Errorf("the second attempt sent %q", got[len(got)-1].Stdin)
				}
				r.wantNothingHeld()
			})
		})
	}
}

// The replay goes to a fresh connection even where more kept ones are there, and
// it happens once.
func TestReplayHappensOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dying := fcgitest.First(fcgitest.Page, fcgitest.EOFBeforeHeader)
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 3}}, dying, dying, fcgitest.EOFBeforeHeader)
		first, second := r.start("GET", "/", nil), r.start("GET", "/", nil)
		r.wantPage(first())
		r.wantPage(second())
		re := r.get("/")
		r.wantError(re, 502, errIncomplete)
		if o := r.outcome(); o.Attempts != 2 || o.Reused {
			t.Errorf("%d attempts, reused %v, want 2, the last on a fresh connection", o.Attempts, o.Reused)
		}
	})
}

// A body that is streamed and has been touched is gone: nothing can be replayed.
func TestStreamedBodyIsNotReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{RequestBuffering: Off}}, fcgitest.First(fcgitest.Page, fcgitest.First(fcgitest.Page, fcgitest.EOFBeforeHeader)), fcgitest.Hello)
		r.wantPage(r.get("/"))
		r.wantPage(r.get("/")) // it keeps connections
		r.wantError(r.do("PUT", "/", strings.NewReader("body")), 502, errIncomplete)
		if n := r.peer.Accepted(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	})
}

// A server that accepts and closes is full: the request waits, and is sent again.
func TestFullApplication(t *testing.T) {
	full := fcgitest.AcceptThenClose
	unread := fcgitest.ResetBeforeReading
	overloadedOnce := fcgitest.Once(func(s *fcgitest.Session, r *fcgitest.Request) {
		s.Send(fcgitest.EndStatus(r.ID, fcgitest.Overloaded))
	})
	for name, tc := range map[string]struct {
		method   string
		scripts  []fcgitest.Script
		ok       bool
		patience time.Duration // before it is refused
		status   int
	}{
		"room after a while":              {"GET", []fcgitest.Script{full, full, full, fcgitest.Hello}, true, 0, 200},
		"unread, room after a while":      {"GET", []fcgitest.Script{unread, unread, unread, fcgitest.Hello}, true, 0, 200},
		"never room":                      {"GET", []fcgitest.Script{full}, false, 2 * time.Second, 502},
		"unread, never room":              {"GET", []fcgitest.Script{unread}, false, 2 * time.Second, 502},
		"overloaded for a while":          {"GET", []fcgitest.Script{fcgitest.OverloadedFor(time.Second)}, true, 0, 200},
		"POST, overloaded for a while":    {"POST", []fcgitest.Script{fcgitest.OverloadedFor(time.Second)}, true, 0, 200},
		"overloaded for ever":             {"GET", []fcgitest.Script{fcgitest.Refuse(fcgitest.Overloaded)}, false, 2 * time.Second, 503},
		"POST, cannot multiplex, once":    {"POST", []fcgitest.Script{fcgitest.Refuse(fcgitest.CantMpxConn), fcgitest.Hello}, true, 0, 200},
		"POST, overloaded, then a worker": {"POST", []fcgitest.Script{overloadedOnce, fcgitest.Hello}, true, 0, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, tc.scripts...)
				re := r.do(tc.method, "/", strings.NewReader("body"))
				if tc.ok {
					r.wantPage(re)
				} else {
					r.wantError(re, tc.status, map[int]string{502: errIncomplete, 503: errLimit}[tc.status])
					if re.after < tc.patience || re.after > 3*time.Second {
						t.Errorf("gave up after %v, want %v at least", re.after, tc.patience)
					}
				}
				if o := r.outcome(); o.Attempts < 2 {
					t.Errorf("%d attempts", o.Attempts)
				}
				r.wantNothingHeld()
			})
		})
	}
}

// An application that has served, and then is full for longer than a request may
// wait, is busy, not broken. Its new connections are sent a BEGIN_REQUEST first:
// where they are closed then, a POST, too, may be sent again.
func TestFullAfterServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := fcgitest.Once(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		})
		unread := fcgitest.ResetBeforeReading
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Timeouts: ConnectionTimeouts{Idle: Duration(time.Second)}}},
			served, unread, unread, served, unread, unread, unread, served, unread)
		r.wantPage(r.get("/"))
		time.Sleep(2 * time.Second)
		r.wantPage(r.get("/"))
		time.Sleep(2 * time.Second)
		r.wantPage(r.post("/", "body"))
		if n := r.peer.Accepted(); n != 8 {
			t.Errorf("%d connections until the POST was served, want 8", n)
		}
		time.Sleep(2 * time.Second)
		r.wantError(r.post("/", "body"), 503, errLimit)
		s := r.b.Snapshot().Pool.Instances[0]
		if s.State != "full" || s.Observed != 1 || s.Replays["turned_away"] < 6 || s.TurnedAway < 6 {
			t.Errorf("snapshot %+v, want it full, 1 of 2 observed", s)
		}
		time.Sleep(time.Minute + time.Second)
		if s := r.b.Snapshot().Pool.Instances[0]; s.State != "up" || s.Observed != 2 {
			t.Errorf("a minute later %+v, want it up, 2 observed", s)
		}
	})
}

// The same where the server has closed before anything could be written to it:
// then every method is sent again.
func TestFullApplicationClosesFirst(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				full := fcgitest.AcceptThenClose
				peer := fcgitest.Start(t, full, full, full, fcgitest.Hello)
				r := startRig(t, Config{
					ApplicationHooks: ApplicationHooks{
						dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
							defer time.Sleep(time.Millisecond) // time enough to close
							return peer.Dial(ctx)
						},
					},
				})
				r.wantPage(r.do(method, "/", strings.NewReader("body")))
				// After the first the pool asks, and does not lease before it has an answer,
				// or none.
				if o := r.outcome(); o.Attempts > 4 || peer.Accepted() != 4 {
					t.Errorf("%d attempts on %d connections, want 4", o.Attempts, peer.Accepted())
				}
			})
		})
	}
}

// A POST that a full server may have read is not sent again: see package pool's
// Error for why a reset proves nothing.
func TestResetPostIsNotReplayed(t *testing.T) {
	for name, script := range map[string]fcgitest.Script{
		"unread":            fcgitest.ResetBeforeReading,
		"in the script":     fcgitest.ResetInScript,
		"read, then closed": fcgitest.EOFBeforeHeader,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{}, script, fcgitest.Hello)
				r.wantError(r.post("/", "body"), 502, errIncomplete)
				if n := r.peer.Accepted(); n != 1 {
					t.Errorf("%d connections, want 1", n)
				}
			})
		})
	}
}

// A client that leaves while its request waits for room is not sent again.
func TestLeavesWhileFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.Refuse(fcgitest.Overloaded))
		leave := r.startLeaving(http.MethodGet, "/", nil)
		time.Sleep(100 * time.Millisecond)
		leave()
		attempts := len(r.peer.Requests())
		time.Sleep(time.Minute)
		if n := len(r.peer.Requests()); n != attempts {
			t.Errorf("%d attempts after the client left", n-attempts)
		}
		r.wantLeft()
	})
}

// A streamed body cannot be sent again, so it does not go out on a connection that
// the application may be about to close.
func TestStreamedBodyTakesASettledConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "index.php"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Preset: "php"}, SiteConfig: SiteConfig{Root: root, RequestBuffering: Off}}, fcgitest.First(fcgitest.Page, fcgitest.EOFBeforeHeader), fcgitest.Hello)
		r.wantPage(r.get("/index.php"))
		r.wantPage(r.do("PUT", "/index.php", strings.NewReader("body")))
		if n := r.peer.Accepted(); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
	})
}
