package bridge

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// Streaming answers reach the client record by record, the moment they are
// written; other answers do after gatherFor. So it is wherever the client's socket has no room any
// more: before the first piece, between two, or never.
func TestRecordByRecord(t *testing.T) {
	for name, tc := range map[string]struct {
		header string
		first  time.Duration // when the first line is there
	}{
		"event stream":         {"Content-Type: text/event-stream", 0},
		"X-Accel-Buffering":    {"X-Accel-Buffering: no", 0},
		"anything that pauses": {"Content-Type: text/plain", gatherFor},
	} {
		for room := range 7 {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{SiteHooks: roomFor(room)}, fcgitest.Each(func(s *fcgitest.Session, r *fcgitest.Request) {
					s.Send(fcgitest.Out(r.ID, tc.header+"\n\n"))
					for i := range 5 {
						s.Send(fcgitest.Out(r.ID, fmt.Sprintf("line %d\n", i)))
						s.HoldFor(time.Second)
					}
					s.Send(fcgitest.End(r.ID))
				}))
				started := time.Now()
				resp, err := r.client.Get("http://app.test/")
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body := bufio.NewReader(resp.Body)
				for i := range 5 {
					line, err := body.ReadString('\n')
					want := time.Duration(i) * time.Second
					if i == 0 {
						want = tc.first
					}
					if d := time.Since(started); line != fmt.Sprintf("line %d\n", i) || err != nil || d != want {
						t.Errorf("%s, room for %d: %q, %v after %v, want line %d after %v", name, room, line, err, d, i, want)
					}
				}
				if _, err := body.ReadByte(); err != io.EOF || time.Since(started) != 5*time.Second {
					t.Errorf("the end: %v after %v", err, time.Since(started))
				}
				r.wantKept(1)
				if o := r.outcome(); o.FirstByte != 0 {
					t.Errorf("first byte after %v", o.FirstByte)
				}
			})
		}
	}
}

// The worker is free when it has written its answer, not when the client has read
// it.
func TestSlowClientHoldsNoWorker(t *testing.T) {
	for name, tc := range map[string]struct{ requests, size, files int }{
		"small answers, pipelined": {10, 50 << 10, 0}, // the fifth does not fit into the client's socket any more
		"one in a file":            {1, 5 << 20, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.Bytes(tc.size))
				c := r.raw()
				io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", tc.requests))
				time.Sleep(time.Second)
				s := r.b.Snapshot()
				if s.InFlight != 1 || s.Gate.InUse != 0 || s.Pool.Instances[0].Idle != 1 || s.Spool.Files != tc.files {
					t.Errorf("snapshot %+v, want a request in flight and a free worker", s)
				}
				in := bufio.NewReader(c)
				for range tc.requests {
					resp, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					if n, err := io.Copy(io.Discard, resp.Body); n != int64(tc.size) || err != nil {
						t.Errorf("%d bytes, %v, want %d", n, err, tc.size)
					}
				}
			})
		})
	}
}

// With memory and disk used up the application is read only as fast as the
// client reads, and what is held stays within the budgets.
func TestSpoolBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 20 << 20
		budget := SpoolConfig{Buffer: 64 << 10, Memory: 128 << 10, Disk: 1 << 20}
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1, Spool: budget}}, fcgitest.Bytes(size))
		c := r.raw()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
		in := bufio.NewReader(c)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		total := int64(0)
		for total < size {
			time.Sleep(time.Second)
			s := r.b.Snapshot().Spool
			if s.Memory > budget.Memory || s.Disk > budget.Disk {
				t.Fatalf("over the budget: %+v", s)
			}
			n, err := io.CopyN(io.Discard, resp.Body, 1<<20)
			total += n
			if err != nil {
				t.Fatalf("after %d bytes: %v", total, err)
			}
		}
		if n, err := io.Copy(io.Discard, resp.Body); n != 0 || err != nil {
			t.Errorf("%d bytes more, %v", n, err)
		}
		r.wantKept(1)
	})
}

// A client that takes nothing of its answer for Timeouts.Client is given up.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}, SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{Client: Duration(20 * time.Second)}}}, fcgitest.Bytes(5<<20))
		c := r.raw()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
		time.Sleep(19 * time.Second)
		if n := r.b.Snapshot().InFlight; n != 1 {
			t.Fatalf("%d in flight, want 1", n)
		}
		time.Sleep(2 * time.Second)
		if o := r.outcome(); !o.Aborted {
			t.Errorf("outcome %+v, want aborted", o)
		}
		r.wantNothingHeld()
		answer, err := io.ReadAll(c)
		if strings.HasSuffix(string(answer), "\r\n0\r\n\r\n") {
			t.Errorf("%d bytes, %v: the answer looks complete", len(answer), err)
		}
	})
}

// The client's connection outlives a stream, with its deadlines lifted.
func TestConnectionAfterAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{Client: Duration(time.Second)}}}, fcgitest.Each(func(s *fcgitest.Session, r *fcgitest.Request) {
			s.Send(fcgitest.Out(r.ID, "X-Accel-Buffering: no\n\n"))
			for range len(r.Stdin) {
				s.Send(fcgitest.Out(r.ID, "x"))
				s.HoldFor(10 * time.Second)
			}
			s.Send(fcgitest.End(r.ID))
		}))
		c := r.raw()
		in := bufio.NewReader(c)
		for range 3 {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); string(body) != "xxx" || err != nil {
				t.Fatalf("%q, %v", body, err)
			}
			time.Sleep(time.Minute)
		}
	})
}
