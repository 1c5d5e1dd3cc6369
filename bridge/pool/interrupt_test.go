package pool

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.ReadsNothing), 1)
		l := mustLease(t, p)
		var wrote, read error
		var both sync.WaitGroup
		both.Go(func() { wrote = l.Write(make([]byte, 1<<20)) })
		both.Go(func() { _, read = l.Next(time.Now().Add(time.Hour)) })
		synctest.Wait()
		started := time.Now()
		l.Interrupt()
		l.Interrupt()
		both.Wait()
		if !errors.Is(wrote, ErrInterrupted) || !errors.Is(read, ErrInterrupted) || time.Since(started) != 0 {
			t.Errorf("Write %v, Next %v after %v", wrote, read, time.Since(started))
		}
		if _, err := l.Next(time.Time{}); !errors.Is(err, ErrInterrupted) {
			t.Errorf("a later Next: %v", err)
		}
		if err := l.Write([]byte{1}); !errors.Is(err, ErrInterrupted) {
			t.Errorf("a later Write: %v", err)
		}
		l.Release()
		l.Interrupt() // nobody's any more
		wantCounts(t, p, counts{})
	})
}

// An Interrupt that comes when the answer is complete does not harm the next
// request on the connection.
func TestInterruptOfAFinishedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Hello), 1)
		l := mustLease(t, p)
		exchange(t, l)
		l.Interrupt()
		l.Release()
		serve(t, p)
		l.Interrupt()
		serve(t, p)
		equal(t, "dials", p.Snapshot().Instances[0].Dials, 1)
	})
}

func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.AnswerAfter(time.Second, fcgitest.Page)), 1)
		l := mustLease(t, p)
		if err := l.Write(request); err != nil {
			t.Fatal(err)
		}
		l.SendDone()
		l.Interrupt()
		if _, err := l.Next(time.Time{}); !errors.Is(err, ErrInterrupted) {
			t.Fatalf("error %v, want ErrInterrupted", err)
		}
		l.MarkAbandoned()
		l.MarkAbandoned()
		equal(t, "zombies", p.Snapshot().Instances[0].Zombies, 1)
		l.Resume()
		for {
			ev, err := l.Next(time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			if ev.Kind == upstream.End {
				break
			}
		}
		l.Release()
		wantCounts(t, p, counts{idle: 1})
		equal(t, "zombies after Release", p.Snapshot().Instances[0].Zombies, 0)
	})
}

// Interrupt may come at any moment, Release included; the race detector and the
// next request on the connection tell whether it harms.
func TestInterruptRaces(t *testing.T) {
	peer := fcgitest.Start(t, fcgitest.Hello)
	p := poolOf(t, peer.Dial, Config{Workers: 2, WaitTimeout: time.Minute})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 300 {
				l, err := p.Lease(context.Background(), Demand{})
				if err != nil {
					t.Error(err)
					return
				}
				var attendant sync.WaitGroup
				attendant.Go(l.Interrupt)
				if out, err := converse(l); err != nil && !errors.Is(err, ErrInterrupted) || err == nil && out != fcgitest.Page {
					t.Errorf("answer %q, %v", out, err)
				}
				l.Release()
				attendant.Wait()
			}
		})
	}
	all.Wait()
	if in := p.Snapshot().Instances[0]; in.Busy != 0 {
		t.Errorf("busy after all was released: %+v", in)
	}
}
