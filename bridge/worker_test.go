package bridge

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// A worker counts as busy until it is free, whatever it has said when nobody waits
// for it any more: it is silent, and runs on although its connection is closed.
func TestWorkerStaysCharged(t *testing.T) {
	for name, said := range map[string]func(id uint16) []byte{
		"nothing":  func(uint16) []byte { return nil },
		"stderr":   func(id uint16) []byte { return fcgitest.Record(fcgitest.Stderr, id, []byte("PHP Notice\n")) },
		"a header": func(id uint16) []byte { return fcgitest.Out(id, "Content-Type: text/plain\n\n") },
		"a line":   func(id uint16) []byte { return fcgitest.Out(id, "Content-Type: text/plain\n\nwait ...\n") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.Once(func(s *fcgitest.Session, q *fcgitest.Request) {
					s.Send(said(q.ID))
					s.Hold()
				}))
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://app.test/poll", nil)
				if err != nil {
					t.Fatal(err)
				}
				if resp, err := r.client.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body) // until the client gives up
					resp.Body.Close()
				}
				time.Sleep(30*time.Second - time.Nanosecond) // Timeouts.Abandoned
				synctest.Wait()
				if s := r.b.Snapshot(); s.Abandoned != 1 || s.Gate.InUse != 1 || s.Pool.Instances[0].Zombies != 1 {
					t.Errorf("snapshot %+v, want a worker that is busy", s)
				}
				time.Sleep(time.Nanosecond)
				r.wantKept(0)
			})
		})
	}
}

// A client that leaves in the instant in which it is sent a 504 does not free the
// worker either.
func TestLeavesWithTheTimeout(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}, SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{FirstByte: Duration(time.Second)}}}, fcgitest.SilentForever)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://app.test/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := r.client.Do(req); err == nil {
				resp.Body.Close()
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if s := r.b.Snapshot(); s.Abandoned != 1 || s.Gate.InUse != 1 {
				t.Errorf("snapshot %+v, want a worker that is busy", s)
			}
			time.Sleep(30 * time.Second)
			r.wantKept(0)
		})
	}
}

// The client's connection is free when the client has all it will get, the worker
// when the application has ended.
func TestClientDoesNotWaitForTheEnd(t *testing.T) {
	for name, tc := range map[string]struct{ method, answer string }{
		"HEAD of an event stream": {"HEAD", "Content-Type: text/event-stream\n\n"},
		"length met":              {"GET", "Content-Length: 2\n\nok"},
		"204":                     {"GET", "Status: 204\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 2}}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
					s.Send(fcgitest.Out(q.ID, tc.answer))
					s.HoldFor(20 * time.Second)
					s.Send(fcgitest.End(q.ID))
				}))
				c := r.raw()
				in := bufio.NewReader(c)
				begun := time.Now()
				for range 2 {
					io.WriteString(c, tc.method+" / HTTP/1.1\r\nHost: app.test\r\n\r\n")
					resp, err := http.ReadResponse(in, &http.Request{Method: tc.method})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.ReadAll(resp.Body); err != nil {
						t.Fatal(err)
					}
				}
				if d := time.Since(begun); d > 2*gatherFor {
					t.Errorf("two answers took %v", d)
				}
				synctest.Wait()
				if s := r.b.Snapshot(); s.Gate.InUse != 2 {
					t.Errorf("snapshot %+v, want two busy workers", s)
				}
				time.Sleep(20 * time.Second)
				r.wantKept(2)
			})
		})
	}
}

// FCGI_OVERLOADED after output is no refusal: the request ran, and must not run
// again, nor may its output be taken for an answer.
func TestOverloadedAfterOutput(t *testing.T) {
	for name, pause := range map[string]time.Duration{"at once": 0, "after the client was sent some": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int32
				r := newRig(t, Config{}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
					runs.Add(1)
					s.Send(fcgitest.Out(q.ID, "Content-Type: text/plain\n\nfirst half "))
					s.HoldFor(pause)
					s.Send(fcgitest.EndStatus(q.ID, fcgitest.Overloaded))
				}))
				re := r.do(http.MethodPost, "/", strings.NewReader("body"))
				if re.status == http.StatusOK && re.err == nil {
					t.Errorf("a complete answer: %q", re.body)
				}
				if n := runs.Load(); n != 1 {
					t.Errorf("the request ran %d times", n)
				}
			})
		})
	}
}

// A script that kills its worker looks like a full application, and is run twice
// at most.
func TestScriptThatKillsItsWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.ResetInScript)
		r.wantError(r.get("/"), 502, errIncomplete)
		if o := r.outcome(); o.Attempts != 2 {
			t.Errorf("GET ran %d times, want 2", o.Attempts)
		}
		r.wantError(r.do(http.MethodPost, "/", strings.NewReader("x")), 502, errIncomplete)
		if o := r.outcome(); o.Attempts != 1 {
			t.Errorf("POST ran %d times", o.Attempts)
		}
	})
}
