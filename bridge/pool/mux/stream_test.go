package mux

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// A stream whose owner takes nothing neither stops the others nor grows: it loses its
// answer.
func TestLaggingStream(t *testing.T) {
	const size = 1 << 20
	onConn(t, 10<<20, fcgitest.MuxBig(size), func(t *testing.T, c *Conn, _ *calls) {
		slow, begun := open(t, c, "/slow"), time.Now()
		if out, err := answer(open(t, c, "/quick")); err != nil || len(out) < size {
			t.Errorf("%d bytes, %v", len(out), err)
		}
		if d := time.Since(begun); d > lagMax {
			t.Errorf("a stream whose owner takes nothing held up another for %v, more than %v", d, lagMax)
		}
		if out, err := answer(slow); !errors.Is(err, ErrLagging) || len(out) > 2*streamBuffer {
			t.Errorf("%d bytes, %v; want ErrLagging after at most %d", len(out), err, 2*streamBuffer)
		}
		time.Sleep(time.Minute)
	})
}

// An owner that takes 64 KiB every 100 ms does not stop the other streams either.
func TestDrippingOwner(t *testing.T) {
	onConn(t, 100<<20, fcgitest.Multiplexed(func(s *fcgitest.Session, r *fcgitest.Request) {
		if r.Param("REQUEST_URI") == "/slow" {
			for range 400 {
				s.Send(fcgitest.Out(r.ID, string(make([]byte, 32<<10))))
			}
		}
		s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
	}), func(t *testing.T, c *Conn, _ *calls) {
		slow := open(t, c, "/slow")
		var all sync.WaitGroup
		all.Go(func() {
			for {
				ev, err := slow.Next(time.Now().Add(time.Minute))
				if err != nil || ev.Kind == upstream.End {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
		time.Sleep(time.Second)
		for range 5 {
			begun := time.Now()
			_, err := answer(open(t, c, "/quick"))
			if d := time.Since(begun); d > 2*lagMax || err != nil {
				t.Errorf("a quick request took %v (%v)", d, err)
			}
		}
		all.Wait()
		slow.Leave(false)
	})
}

// An answer of any size reaches an owner that takes it.
func TestBigStream(t *testing.T) {
	const size = 10 << 20
	onConn(t, 100<<20, fcgitest.MuxBig(size), func(t *testing.T, c *Conn, b *calls) {
		out, err := answer(open(t, c, "/"))
		if err != nil || strings.Count(out, "x")-strings.Count(out[:50], "x") < size-50 {
			t.Errorf("%d bytes, %v", len(out), err)
		}
		if b.most > 3*streamBuffer { // taken, pending, and pending while taken is freed
			t.Errorf("%d bytes of it were in memory at once", b.most)
		}
	})
}

func TestStreamTimesOutAlone(t *testing.T) {
	onConn(t, 1<<20, fcgitest.MuxAfter(time.Minute, fcgitest.Page), func(t *testing.T, c *Conn, _ *calls) {
		s, other, begun := open(t, c, "/"), open(t, c, "/"), time.Now()
		if _, err := s.Next(begun.Add(7 * time.Second)); err == nil || time.Since(begun) != 7*time.Second {
			t.Errorf("%v after %v, want a time-out after 7s", err, time.Since(begun))
		}
		time.AfterFunc(time.Second, s.Interrupt)
		if _, err := s.Next(time.Time{}); !errors.Is(err, ErrInterrupted) || time.Since(begun) != 8*time.Second {
			t.Errorf("%v after %v, want interrupted after 8s", err, time.Since(begun))
		}
		if err := s.Send(nil, time.Time{}); !errors.Is(err, ErrInterrupted) {
			t.Errorf("Send: %v", err)
		}
		s.Leave(false)
		if out, err := answer(other); err != nil || out != fcgitest.Page {
			t.Errorf("%q, %v", out, err)
		}
	})
}

// A request that comes when nothing can be sent any more, on a connection that still
// brings answers, fails at once.
func TestNothingCanBeSent(t *testing.T) {
	onConn(t, 1<<20, fcgitest.MuxHold, func(t *testing.T, c *Conn, _ *calls) {
		s := c.Open()
		c.endSending(nil, 0, syscall.EPIPE) // the application reads no more, and still answers
		begun := time.Now()
		send(t, s, "/")
		if _, err := s.Next(begun.Add(time.Minute)); !errors.Is(err, syscall.EPIPE) || time.Since(begun) > 0 || !s.Unrun() {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		s.Leave(false)
		if _, err := answer(c.Open()); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("the next stream: %v", err)
		}
	})
}

// An owner in the loop that reads the connection has its turn, however late the loop is.
func TestLateLoop(t *testing.T) {
	const size = 1 << 20
	var loop *testLoop
	begin := func() *testLoop {
		loop = startTestLoop()
		return loop
	}
	onOneConn(t, 10<<20, fcgitest.MuxBig(size), begin, func(t *testing.T, c *Conn, _ *calls) {
		s := c.Open()
		type result struct {
			n   int
			err error
		}
		var got result
		over, all := false, make(chan result, 1)
		take := func() {
			for !over {
				ev, err := s.TryNext()
				if ev.Kind == 0 && err == nil {
					return
				}
				got.n += len(ev.Data)
				if over = err != nil || ev.Kind == upstream.End; over {
					got.err = errors.Join(err, ev.Err)
					s.Leave(err == nil)
					all <- got
				}
			}
		}
		var late atomic.Bool
		tell := func() {
			if late.Load() {
				loop.Post(take)
			}
		}
		s.Notify(&tell)
		send(t, s, "/")
		synctest.Wait() // there is no room for more
		late.Store(true)
		loop.Post(func() { time.Sleep(2 * lagMax) })
		loop.Post(take)
		if r := <-all; r.err != nil || r.n < size {
			t.Errorf("%d bytes, %v", r.n, r.err)
		}
	})
}
