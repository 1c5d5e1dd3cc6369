package pool

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// forked is an application of so many processes behind one accept queue.
type forked struct {
	*fcgitest.Peer
	processes int
	looks     atomic.Int32 // at the queue
}

// startForked has processes answer Page after a while that the request's URI says.
func startForked(t testing.TB, processes int) *forked {
	t.Helper()
	page := func(s *fcgitest.Session, r *fcgitest.Request) {
		if d, err := time.ParseDuration(r.Param("REQUEST_URI")); err == nil {
			s.HoldFor(d)
		}
		s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
	}
	return &forked{Peer: fcgitest.Start(t, fcgitest.Processes(processes, page)), processes: processes}
}

func (f *forked) queue() (depth, backlog int, err error) {
	f.looks.Add(1)
	return max(0, f.Open()-f.processes), 128, nil
}

// queuePool is poolOf for an instance whose accept queue can be read.
func queuePool(t testing.TB, peer *fcgitest.Peer, cfg Config, queue func() (depth, backlog int, err error)) *Pool {
	t.Helper()
	cfg.Instances = []Instance{{Addr: "app", Dial: peer.Dial, Queue: queue}}
	return newPool(t, cfg)
}

// pool has room for eight connections.
func (f *forked) pool(t testing.TB) *Pool {
	t.Helper()
	return queuePool(t, f.Peer, Config{Workers: 8, WaitTimeout: time.Minute}, f.queue)
}

// visit makes a request that takes d to answer, and returns how long it took.
func visit(t testing.TB, p *Pool, demand Demand, d time.Duration) time.Duration {
	begun := time.Now()
	l, err := p.Lease(context.Background(), demand)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer l.Release()
	send(t, l, d.String())
	if _, err := answer(l); err != nil {
		t.Error(err)
	}
	return time.Since(begun)
}

// started is visit in a goroutine of its own.
func started(t testing.TB, p *Pool, demand Demand, d time.Duration) <-chan time.Duration {
	took := make(chan time.Duration, 1)
	go func() { took <- visit(t, p, demand, d) }()
	return took
}

func wantShed(t testing.TB, p *Pool, want uint64) {
	t.Helper()
	synctest.Wait()
	equal(t, "connections that were shed", p.Snapshot().Instances[0].ShedIdle, want)
}

// When a connection was seen waiting to be accepted twice, an idle connection is closed, and
// the request is served.
func TestIdleConnectionIsShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := startForked(t, 2)
		p := app.pool(t)
		first, second := started(t, p, Demand{}, 100*time.Millisecond), started(t, p, Demand{}, 100*time.Millisecond)
		synctest.Wait()
		third := started(t, p, Demand{}, 0)
		<-first
		<-second
		wantCounts(t, p, counts{idle: 2, busy: 1})
		time.Sleep(2*queueCheckEvery - 100*time.Millisecond - time.Nanosecond)
		wantCounts(t, p, counts{idle: 2, busy: 1})
		wantShed(t, p, 0)
		equal(t, "served after", <-third, 2*queueCheckEvery)
		wantShed(t, p, 1)
		wantCounts(t, p, counts{idle: 2})
	})
}

// If the other connections are used all the time, the next one that is released is closed.
// None is closed while it is used.
func TestUsedConnectionIsShedNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startForked(t, 2).pool(t)
		stop := make(chan struct{})
		done := make(chan struct{})
		for range 2 {
			go func() {
				defer func() { done <- struct{}{} }()
				for {
					select {
					case <-stop:
						return
					default:
						visit(t, p, Demand{}, 30*time.Millisecond)
					}
				}
			}()
		}
		time.Sleep(time.Millisecond)
		fresh := Demand{Fresh: true}
		for range 5 {
			if d := visit(t, p, fresh, 0); d > shedEvery+2*queueCheckEvery+30*time.Millisecond {
				t.Errorf("a request that needed a third connection took %v", d)
			}
		}
		close(stop)
		<-done
		<-done
		equal(t, "busy connections that were closed", p.Snapshot().Instances[0].Discarded, 0)
	})
}

// A request that waits in the pool does not overtake one that waits to be accepted.
func TestWaiterDoesNotOvertakeTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := startForked(t, 2)
		p := queuePool(t, app.Peer, Config{Workers: 3, WaitTimeout: time.Minute}, app.queue)
		const ms = time.Millisecond
		first, second := started(t, p, Demand{}, 600*ms), started(t, p, Demand{}, 700*ms)
		synctest.Wait()
		third := started(t, p, Demand{}, 50*ms) // waits to be accepted
		synctest.Wait()
		fourth := started(t, p, Demand{}, 0) // waits for a connection
		for i, g := range []struct {
			took <-chan time.Duration
			want time.Duration
		}{
			{first, 600 * ms},
			{third, 650 * ms},  // on the process that served the first
			{second, 700 * ms}, // its connection is kept
			{fourth, 1500 * ms},
		} {
			if d := <-g.took; d != g.want {
				t.Errorf("number %d took %v, want %v", i, d, g.want)
			}
		}
		wantShed(t, p, 2)
	})
}

// However many connections seem to wait, no more are closed than may be among them, once a
// second, and the log is told once. A long-poll counts as one that may wait.
func TestShedsOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		peer := fcgitest.Start(t, fcgitest.AnswerAfter(time.Hour, ""), fcgitest.Hello)
		p := queuePool(t, peer, Config{Workers: 16, Logger: slog.New(slog.NewTextHandler(&log, nil))}, func() (int, int, error) { return 100, 128, nil })
		poll := mustLease(t, p)
		send(t, poll, "/poll")
		begun := time.Now()
		for time.Since(begun) < 10*time.Second {
			serve(t, p)
			time.Sleep(10 * time.Millisecond)
		}
		wantShed(t, p, 10) // after 0.5, 1.5 ... 9.5 s
		equal(t, "dials", p.Snapshot().Instances[0].Dials, 2+10)
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "waiting=1 connections=2 workers=16") {
			t.Errorf("log %q, want one line", got)
		}
		poll.Release()
	})
}

// What waits at one look and not at the next is on its way.
func TestQueueThatMovesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks int
		peer := fcgitest.Start(t, fcgitest.AnswerAfter(time.Hour, ""), fcgitest.Hello)
		p := queuePool(t, peer, Config{Workers: 16, IdleTimeout: time.Hour}, func() (int, int, error) {
			looks++
			return looks % 2, 128, nil
		})
		poll := mustLease(t, p)
		send(t, poll, "/poll")
		serve(t, p)
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := int(time.Minute / queueCheckEvery); looks != want {
			t.Errorf("%d looks in a minute, want %d", looks, want)
		}
		wantShed(t, p, 0)
		poll.Release()
	})
}

// Nor is there more than one look at what is gone before the next.
func TestQueueOfQuickRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.AnswerAfter(300*time.Millisecond, fcgitest.Page))
		p := queuePool(t, peer, Config{Workers: 16, IdleTimeout: time.Hour}, func() (int, int, error) { return 1, 128, nil })
		serve(t, p)
		for range 10 { // each is new for 300 ms, and the queue is seen once, after 250
			visit(t, p, Demand{Fresh: true}, 0)
			time.Sleep(time.Second)
		}
		wantShed(t, p, 0)
		wantCounts(t, p, counts{idle: 11})
	})
}

// An answer that has begun is not cut for one that waits.
func TestAnswerThatHasBegunShedsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.AnswerAfter(time.Hour, ""), fcgitest.Ticks(10, time.Second))
		p := newPool(t, Config{Instances: []Instance{{Addr: "app", Dial: peer.Dial, Queue: func() (int, int, error) { return 1, 128, nil }}}, Workers: 16})
		poll, events := mustLease(t, p), mustLease(t, p)
		send(t, poll, "/poll")
		send(t, events, "/events")
		n := 0
		for {
			ev, err := events.Next(time.Now().Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			if ev.Kind == upstream.End {
				break
			}
			n++
		}
		wantShed(t, p, 0)
		events.Release()
		wantShed(t, p, 1)
		if n < 11 {
			t.Errorf("%d records of the answer came, want 11", n)
		}
		poll.Release()
	})
}

// The queue is read only if a connection may have waited for a while, and there are others.
func TestQueueIsNotLookedAtForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := startForked(t, 8)
		p := app.pool(t)
		for range 100 { // quick ones
			visit(t, p, Demand{Fresh: true}, time.Millisecond)
			visit(t, p, Demand{}, 300*time.Millisecond)
		}
		time.Sleep(time.Minute)
		visit(t, p, Demand{}, time.Minute)
		equal(t, "looks", app.looks.Load(), 0)
	})
}

// Connections that are to be shed are not, if the queue turns out to be empty or cannot be
// read any more.
func TestNothingIsShedForAnEmptyQueue(t *testing.T) {
	for name, then := range map[string]error{"empty": nil, "unknown": errors.ErrUnsupported} {
		inBubble(t, name, func(t *testing.T) {
			looks := 0
			peer := fcgitest.Start(t, fcgitest.AnswerAfter(time.Hour, ""), fcgitest.AnswerAfter(time.Second, fcgitest.Page))
			p := queuePool(t, peer, Config{Workers: 16, IdleTimeout: time.Hour}, func() (int, int, error) {
				if looks++; looks <= 2 {
					return 1, 128, nil
				}
				return 0, 128, then
			})
			poll := mustLease(t, p)
			send(t, poll, "/poll")
			serve(t, p) // while the queue is seen three times
			wantCounts(t, p, counts{busy: 1, idle: 1})
			wantShed(t, p, 0)
			poll.Release()
		})
	}
}

// A connection that was never used is not shed: it may be in the queue itself.
func TestNewConnectionIsNotShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := make(dialer)
		peer := fcgitest.Start(t, fcgitest.Hello)
		p := poolOf(t, d.dial, Config{Workers: 1})
		gone := startLease(p)
		synctest.Wait()
		next := startLease(p)
		synctest.Wait()
		gone.cancel()
		<-gone.done
		p.mu.Lock()
		p.instances[0].queue.toShed = 1
		p.mu.Unlock()
		c, err := peer.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d <- dialed{conn: c}
		next.mustLease(t).Release()
		wantShed(t, p, 0)
	})
}

// A connection on which the application has replied to a query has been accepted.
func TestProvedConnectionIsNotInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		peer := fcgitest.Start(t, fcgitest.AnswerAfter(time.Minute, fcgitest.Page))
		p := queuePool(t, peer, Config{Workers: 8, ClosesWhenFull: true}, func() (int, int, error) {
			looks++
			return 0, 128, nil
		})
		p.instances[0].observed.fullAt = time.Now() // or it would not be queried
		first, second := started(t, p, Demand{}, 0), started(t, p, Demand{}, 0)
		<-first
		<-second
		if n := len(peer.Asked()); n != 2 || looks > 0 {
			t.Errorf("%d queries, %d looks; want 2, 0", n, looks)
		}
	})
}

// A queue that cannot be read is tried again once a minute. What was seen before does not
// count.
func TestQueueThatCannotBeSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks atomic.Int32
		peer := fcgitest.Start(t, fcgitest.AnswerAfter(time.Hour, ""), fcgitest.Hello)
		p := queuePool(t, peer, Config{Workers: 16, IdleTimeout: time.Hour}, func() (int, int, error) {
			if looks.Add(1)%2 == 1 {
				return 3, 128, nil
			}
			return 3, 128, errors.New("it is on another machine")
		})
		poll := mustLease(t, p)
		send(t, poll, "/poll")
		begun := time.Now()
		for time.Since(begun) < 10*time.Minute {
			serve(t, p)
			time.Sleep(time.Second)
		}
		equal(t, "looks in 10 minutes", looks.Load(), 20)
		wantShed(t, p, 0)
		poll.Release()
	})
}

// A connection whose first request left in the instant it got it is counted once, for
// the next.
func TestAwaitingIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Hello), 1)
		awaiting := func() int {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.instances[0].queue.awaiting
		}
		left := mustLease(t, p)
		next := startLease(p)
		synctest.Wait()
		p.takeBack(left.c)
		l := next.mustLease(t)
		if n := awaiting(); l.c != left.c || n != 1 {
			t.Errorf("%d connections without an answer, want 1; passed on %v", n, l.c == left.c)
		}
		l.Release()
		equal(t, "connections without an answer when all are closed", awaiting(), 0)
	})
}
