package bridge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// startLeaving makes a request and waits until its client is watched, which is
// watchAfter later; the function it returns makes the client leave, and waits for
// what follows from it.
func (r *rig) startLeaving(method, path string, body io.Reader) (leave func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, method, "http://app.test"+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.send(req)
	}()
	time.Sleep(watchAfter)
	synctest.Wait()
	return func() {
		cancel()
		<-done
		synctest.Wait()
	}
}

// wantLeft checks that the last request ended because its client left, and that
// nothing is held for it.
func (r *rig) wantLeft() {
	r.t.Helper()
	if o := r.outcome(); o.Status != StatusClientClosed || !o.Aborted {
		r.t.Errorf("outcome %+v, want %d", o, StatusClientClosed)
	}
	r.wantNothingHeld()
}

func TestLeavesInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.AnswerAfter(time.Second, fcgitest.Page))
		first := r.start("GET", "/1", nil)
		leave := r.startLeaving("GET", "/2", nil)
		third := r.start("GET", "/3", nil)
		if s := r.b.Snapshot().Gate; s.Waiting != 2 {
			t.Fatalf("%d waiting, want 2", s.Waiting)
		}
		leave()
		if s := r.b.Snapshot().Gate; s.Waiting != 1 || s.Lanes["short"].Left != 1 {
			t.Errorf("%d waiting, %d left, want 1, 1", s.Waiting, s.Lanes["short"].Left)
		}
		r.wantPage(first())
		r.wantPage(third())
		if n := len(r.peer.Requests()); n != 2 {
			t.Errorf("the application was sent %d requests, want 2", n)
		}
		r.wantKept(1)
	})
}

func TestLeavesDuringTheDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, Config{ApplicationHooks: ApplicationHooks{dial: never}})
		leave := r.startLeaving("GET", "/", nil)
		leave()
		if o := r.outcome(); o.Status != StatusClientClosed {
			t.Errorf("outcome %+v, want %d", o, StatusClientClosed)
		}
		time.Sleep(time.Minute) // the dial goes on for whoever comes next, while it may
		r.wantNothingHeld()
	})
}

// A client that leaves a silent application leaves its worker taken: the slot
// stays charged until the application has finished.
func TestLeavesBeforeTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.AnswerAfter(10*time.Second, fcgitest.Page))
		leave := r.startLeaving("GET", "/", nil)
		leave()
		if o := r.outcome(); o.Status != StatusClientClosed || !o.Aborted {
			t.Errorf("outcome %+v, want %d", o, StatusClientClosed)
		}
		s := r.b.Snapshot()
		if s.Abandoned != 1 || s.InFlight != 0 || s.Gate.InUse != 1 || s.Pool.Instances[0].Busy != 1 || s.Pool.Instances[0].Zombies != 1 {
			t.Errorf("snapshot %+v, want an abandoned answer that holds its slot", s)
		}
		time.Sleep(10*time.Second - watchAfter - time.Nanosecond)
		if s := r.b.Snapshot(); s.Abandoned != 1 {
			t.Error("the slot was given up before the application had finished")
		}
		time.Sleep(time.Nanosecond)
		r.wantKept(1)
	})
}

// It is given up after Timeouts.Abandoned.
func TestAbandonedTimeout(t *testing.T) {
	for name, script := range map[string]fcgitest.Script{
		"silent":          fcgitest.SilentForever,
		"answers at last": fcgitest.IgnoresAbort,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}, SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{Abandoned: Duration(7 * time.Second)}}}, script)
				leave := r.startLeaving("GET", "/", nil)
				leave()
				time.Sleep(7*time.Second - time.Nanosecond)
				synctest.Wait()
				if s := r.b.Snapshot(); s.Abandoned != 1 || s.Gate.InUse != 1 {
					t.Errorf("snapshot %+v, want an abandoned answer", s)
				}
				time.Sleep(time.Nanosecond)
				r.wantKept(0)
			})
		})
	}
}

// Close does not wait for it.
func TestCloseEndsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.SilentForever)
		leave := r.startLeaving("GET", "/", nil)
		leave()
		started := time.Now()
		r.b.Close()
		if d := time.Since(started); d != 0 {
			t.Errorf("Close took %v", d)
		}
		r.wantNothingHeld()
	})
}

func TestLeavesInTheBody(t *testing.T) {
	for name, script := range map[string]fcgitest.Script{
		"of an event stream": fcgitest.Ticks(1000, time.Second),
		"of a slow page":     fcgitest.SlowBody(1000, time.Second),
		"of a long page":     fcgitest.Bytes(1 << 30),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1, Spool: SpoolConfig{Memory: 1 << 20, Disk: 1 << 20}}}, script)
				c := r.raw()
				io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
				if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
					t.Fatal(err)
				}
				c.Close()
				time.Sleep(2 * time.Second) // the next write to the client fails
				o := r.outcome()
				if !o.Aborted || o.Status != http.StatusOK {
					t.Errorf("outcome %+v, want 200, aborted", o)
				}
				r.wantKept(0)
				if n := r.peer.Open(); n > 0 && name == "of a long page" {
					t.Errorf("%d connections open", n)
				}
			})
		})
	}
}

// A client that leaves while it uploads has cost no worker.
func TestLeavesDuringTheUpload(t *testing.T) {
	for name, head := range map[string]string{
		"known length": "Content-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1000),
		"chunked":      "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + strings.Repeat("x", 1000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{}, fcgitest.Hello)
				c := r.raw()
				io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\n"+head)
				synctest.Wait()
				s := r.b.Snapshot()
				if s.InFlight != 1 || s.Gate.InUse != 0 || s.Spool.Buffers != 1 {
					t.Errorf("snapshot %+v, want a request that holds a buffer and no slot", s)
				}
				c.Close()
				if o := r.outcome(); o.Status != http.StatusBadRequest && o.Status != StatusClientClosed {
					t.Errorf("outcome %+v", o)
				}
				r.wantNothingHeld()
				if n := r.peer.Accepted(); n != 0 {
					t.Errorf("%d connections to the application", n)
				}
			})
		})
	}
}

// Streamed uploads hold a worker; it is free at once when the client leaves.
func TestLeavesDuringAStreamedUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}, SiteConfig: SiteConfig{RequestBuffering: Off}}, fcgitest.Echo)
		c := r.raw()
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("x", 1000))
		synctest.Wait()
		if s := r.b.Snapshot(); s.Gate.InUse != 1 || s.Pool.Instances[0].Busy != 1 {
			t.Errorf("snapshot %+v, want a slot in use", s)
		}
		c.Close()
		synctest.Wait()
		r.wantKept(0)
		got := r.peer.Requests()
		if len(got) != 1 || got[0].StdinEnded || len(got[0].Stdin) != 1000 {
			t.Errorf("the application took an upload for complete that was not: %d bytes, ended %v", len(got[0].Stdin), got[0].StdinEnded)
		}
	})
}

// A client that sends nothing more of its body is told after Timeouts.Client.
func TestUploadTimeout(t *testing.T) {
	for name, buffering := range map[string]Switch{"spooled": On, "streamed": Off} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{SiteConfig: SiteConfig{RequestBuffering: buffering, Timeouts: TimeoutsConfig{Client: Duration(9 * time.Second)}}}, fcgitest.Echo)
				c := r.raw()
				started := time.Now()
				io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n12345")
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil || resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
					t.Fatalf("answer %+v, %v, want 408 and the end of the connection", resp, err)
				}
				if d := time.Since(started); d != 9*time.Second {
					t.Errorf("after %v, want 9s", d)
				}
				if answer, err := io.ReadAll(c); len(answer) > 0 || err != nil {
					t.Errorf("then came %q, %v", answer, err)
				}
				r.wantKept(0)
			})
		})
	}
}
