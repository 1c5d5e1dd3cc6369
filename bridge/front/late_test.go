package front_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// endsAfter answers at once, and ends each request d later.
func endsAfter(d time.Duration) func(*fcgitest.Session, *fcgitest.Request) {
	return func(s *fcgitest.Session, r *fcgitest.Request) {
		s.Send(fcgitest.Out(r.ID, "Content-Length: 2\n\nok"))
		s.HoldFor(d)
		s.Send(fcgitest.End(r.ID))
	}
}

// A client has its answer when it is complete. The worker is taken until the application has ended the
// request, whether that takes so long that the loop leaves the wait to a goroutine or not; and then the
// connection is used again.
func TestEndComesLate(t *testing.T) {
	for _, multiplex := range []bool{false, true} {
		for _, late := range []time.Duration{180 * time.Millisecond, 600 * time.Millisecond} {
			t.Run(fmt.Sprintf("multiplex=%v/%v", multiplex, late), func(t *testing.T) {
				script := fcgitest.Each(endsAfter(late))
				if multiplex {
					script = fcgitest.Multiplexed(endsAfter(late))
				}
				app := fcgitest.StartUnix(t, script)
				r := newRig(t, func(c *bridge.Config) {
					c.Backends, c.Workers, c.KeepAlive = []string{app.Addr()}, 1, "on"
					if multiplex {
						c.Multiplex = "on"
					}
				}, nil)
				r.onBoth(t, func(t *testing.T, addr string) {
					begun := time.Now()
					for n := range 2 {
						if resp, body := get(t, dial(t, addr), "/"); resp.StatusCode != 200 || string(body) != "ok" {
							t.Fatalf("%s, %q", resp.Status, body)
						}
						if took := time.Since(begun); n == 0 && took >= late || n > 0 && took < late {
							t.Errorf("answer %d came after %v; the application ends each request after %v", n+1, took, late)
						}
						if s := r.handler.Snapshot(); time.Since(begun) < late*time.Duration(n+1) && (s.Abandoned != 1 || s.Gate.InUse != 1) {
							t.Errorf("after answer %d: %d abandoned, %d in use, want 1, 1", n+1, s.Abandoned, s.Gate.InUse)
						}
					}
					r.wantIdle(t)
					eventually(t, "nothing is awaited", func() error {
						if s := r.handler.Snapshot(); s.Abandoned != 0 {
							return fmt.Errorf("%d abandoned", s.Abandoned)
						}
						return nil
					})
				})
				if n := app.Accepted(); n != 1 {
					t.Errorf("the application had %d connections, want one that is kept", n)
				}
			})
		}
	}
}

// The loop waits for an end that comes soon without a goroutine.
func TestEndComesSoon(t *testing.T) {
	const clients = 40
	app := fcgitest.StartUnix(t, fcgitest.Each(endsAfter(190*time.Millisecond)))
	r := newRig(t, func(c *bridge.Config) { c.Backends, c.Workers, c.Multiplex = []string{app.Addr()}, clients, "off" }, nil)
	answered := make(chan struct{}, clients)
	for range clients {
		go func() {
			defer func() { answered <- struct{}{} }()
			get(t, dial(t, r.loop), "/")
		}()
	}
	for range clients {
		<-answered
	}
	awaited, stacks := r.handler.Snapshot().Abandoned, make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	goroutines := bytes.Count(stacks, []byte("blocking.(*Site).await.func1("))
	if awaited < clients/8 || goroutines > clients/8 { // those for which the loop has waited long enough, on a busy machine
		t.Errorf("%d requests are awaited, with %d goroutines", awaited, goroutines)
	}
	r.wantIdle(t)
}

// The loops end while they wait: goroutines go on, and everything is given back.
func TestEndComesAfterTheLoops(t *testing.T) {
	app := fcgitest.StartUnix(t, fcgitest.Each(endsAfter(time.Second)))
	r := newRig(t, func(c *bridge.Config) { c.Backends, c.Workers = []string{app.Addr()}, 1 }, nil)
	get(t, dial(t, r.loop), "/")
	if s := r.handler.Snapshot(); s.Abandoned != 1 {
		t.Fatalf("%d abandoned, want 1", s.Abandoned)
	}
	begun := time.Now()
	if err := r.loops.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 500*time.Millisecond {
		t.Errorf("the loops have ended after %v", took)
	}
	if s := r.handler.Snapshot(); s.Abandoned != 1 || s.Gate.InUse != 1 {
		t.Errorf("%d abandoned, %d in use, want 1, 1", s.Abandoned, s.Gate.InUse)
	}
	r.wantIdle(t)
}
