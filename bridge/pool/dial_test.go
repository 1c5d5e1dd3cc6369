package pool

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// A full backlog is tried again after 5, 10, 20, 40, 80, 160, 200, 200... ms.
func TestFullBacklogIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		var tries []time.Duration
		dial := func(context.Context) (net.Conn, error) {
			tries = append(tries, time.Since(started))
			return nil, &net.OpError{Op: "dial", Net: "unix", Err: syscall.EAGAIN}
		}
		p := poolOf(t, dial, Config{Workers: 1, WaitTimeout: time.Second})
		g := startLease(p)
		<-g.done
		if !errors.Is(g.err, ErrWaitTimeout) || g.after != time.Second {
			t.Errorf("%v after %v, want ErrWaitTimeout after 1s", g.err, g.after)
		}
		want := []int{0, 5, 15, 35, 75, 155, 315, 515, 715, 915}
		if len(tries) != len(want) {
			t.Fatalf("tried at %v, want %v ms", tries, want)
		}
		for i, ms := range want {
			if tries[i] != time.Duration(ms)*time.Millisecond {
				t.Errorf("try %d at %v, want %d ms", i, tries[i], ms)
			}
		}
		wantCounts(t, p, counts{})
		if in := p.Snapshot().Instances[0]; in.BacklogFull != uint64(len(want)) || in.DialErrors != 0 {
			t.Errorf("%d times full, %d dial errors, want %d, 0", in.BacklogFull, in.DialErrors, len(want))
		}
	})
}

func TestBacklogThatHasRoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := fcgitest.Listen(0)
		queued, err := ln.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer queued.Close()
		p := poolOf(t, ln.Dial, Config{Workers: 1})
		g := startLease(p)
		time.Sleep(20 * time.Millisecond)
		fcgitest.Serve(t, ln, ln.Dial, "memory", fcgitest.Hello)
		l := g.mustLease(t)
		l.Release()
		equal(t, "connected after", g.after, 35*time.Millisecond)
	})
}

// An application that answered a moment ago and refuses now is being restarted:
// the request waits for it, within the dial timeout.
func TestRestart(t *testing.T) {
	for name, refusal := range map[string]error{
		"connection refused": syscall.ECONNREFUSED,
		"no socket":          fs.ErrNotExist,
	} {
		inBubble(t, name, func(t *testing.T) {
			var up atomic.Bool
			up.Store(true)
			peer := fcgitest.Start(t, fcgitest.CloseAfterEnd)
			p := newPool(t, Config{
				Instances: []Instance{{Addr: "app", Dial: func(ctx context.Context) (net.Conn, error) {
					if !up.Load() {
						return nil, &net.OpError{Op: "dial", Err: refusal}
					}
					return peer.Dial(ctx)
				}}},
				Workers: 1, DialTimeout: time.Second, IdleTimeout: time.Millisecond,
			})
			serve(t, p)
			time.Sleep(10 * time.Millisecond)

			up.Store(false)
			g := startLease(p)
			time.Sleep(500 * time.Millisecond)
			g.mustWait(t)
			up.Store(true)
			g.mustLease(t).Release()

			up.Store(false)
			g = startLease(p)
			<-g.done
			if !errors.Is(g.err, refusal) || g.after < time.Second || g.after > time.Second+dialPauseMax {
				t.Errorf("%v after %v, want %v after a second", g.err, g.after, refusal)
			}
		})
	}
}

// One that was never there is reported at once.
func TestRefusedFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := fcgitest.Listen(0)
		ln.Close()
		p := newPool(t, Config{Instances: []Instance{{Addr: "unix:/run/app.sock", Dial: ln.Dial}}, Workers: 1})
		g := startLease(p)
		<-g.done
		if !errors.Is(g.err, syscall.ECONNREFUSED) || g.after != 0 {
			t.Errorf("%v after %v, want connection refused at once", g.err, g.after)
		}
		if want := "dial unix:/run/app.sock: connection refused (is the application running?)"; g.err.Error() != want {
			t.Errorf("error %q, want %q", g.err, want)
		}
		in := p.Snapshot().Instances[0]
		if in.DialErrors != 1 || in.LastError != "connection refused (is the application running?)" || !in.LastErrorAt.Equal(time.Now()) {
			t.Errorf("snapshot %+v does not tell", in)
		}
	})
}

// Other waiters do not get the error of a dial, as theirs may succeed, and they get the room
// of the dial that failed.
func TestFailedDialMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := make(dialer)
		p := poolOf(t, d.dial, Config{Workers: 1})
		first, second := startLease(p), startLease(p)
		synctest.Wait()
		why := errors.New("no route to host")
		d <- dialed{err: why}
		synctest.Wait()
		near, far := fcgitest.Pipe()
		defer far.Close()
		d <- dialed{conn: near}
		<-first.done
		<-second.done
		if first.lease != nil {
			first, second = second, first // whoever came first
		}
		if !errors.Is(first.err, why) || second.err != nil {
			t.Errorf("errors %v and %v, want one to fail and one to be served", first.err, second.err)
		}
		second.mustLease(t).Release()
	})
}

func TestAllInstancesDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := func(err error) func(context.Context) (net.Conn, error) {
			return func(context.Context) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Err: err} }
		}
		p := newPool(t, Config{
			Instances: []Instance{
				{Addr: "unix:/run/a", Dial: failing(syscall.ECONNREFUSED)},
				{Addr: "unix:/run/b", Dial: failing(syscall.ENOENT)},
				{Addr: "unix:/run/c", Dial: failing(syscall.EACCES)},
			},
			Workers: 1,
		})
		g := startLease(p)
		<-g.done
		want := "dial unix:/run/a: connection refused (is the application running?); " +
			"dial unix:/run/b: no such socket (is the application running, and is the path right?); " +
			"dial unix:/run/c: permission denied (may this user write to the socket?)"
		if g.err == nil || g.err.Error() != want || g.after != 0 {
			t.Errorf("%v after %v, want at once\n%s", g.err, g.after, want)
		}
		for _, err := range []error{syscall.ECONNREFUSED, fs.ErrNotExist, fs.ErrPermission} {
			if !errors.Is(g.err, err) {
				t.Errorf("errors.Is(err, %v) is false", err)
			}
		}
	})
}

// An instance that is down costs a request nothing but the attempt, and is left
// alone for a second.
func TestOneInstanceDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := fcgitest.Listen(0)
		down.Close()
		peer := fcgitest.Start(t, fcgitest.Hello)
		p := newPool(t, Config{
			Instances:   []Instance{{Addr: "down", Dial: down.Dial}, {Addr: "up", Dial: peer.Dial}},
			Workers:     8,
			IdleTimeout: time.Millisecond,
		})
		started := time.Now()
		for range 8 {
			l := mustLease(t, p)
			if l.Addr() != "up" {
				t.Fatalf("leased %s", l.Addr())
			}
			l.Release()
		}
		if s := p.Snapshot().Instances[0]; s.DialErrors != 1 || s.State != "down" || time.Since(started) != 0 {
			t.Errorf("%d attempts at the one that is %s, took %v, want 1, down, 0s", s.DialErrors, s.State, time.Since(started))
		}
		// The pool dials it after 1, 2, 4, 8, 16 and then every 30 seconds.
		attempts := uint64(1)
		for _, pause := range []int{1, 2, 4, 8, 16, 30, 30} {
			time.Sleep(time.Duration(pause)*time.Second - time.Nanosecond)
			synctest.Wait()
			if n := p.Snapshot().Instances[0].DialErrors; n != attempts {
				t.Fatalf("%d attempts before %v were over, want %d", n, time.Since(started), attempts)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			attempts++
			if n := p.Snapshot().Instances[0].DialErrors; n != attempts {
				t.Fatalf("%d attempts after %v, want %d", n, time.Since(started), attempts)
			}
		}
	})
}

func TestLeastLoadedInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var list []Instance
		for _, addr := range []string{"a", "b", "c"} {
			list = append(list, Instance{Addr: addr, Dial: fcgitest.Start(t, fcgitest.Hello).Dial})
		}
		p := newPool(t, Config{Instances: list, Workers: 4})
		var leases []*Lease
		for n := 1; n <= 12; n++ {
			leases = append(leases, mustLease(t, p))
			least, most := 12, 0
			for _, in := range p.Snapshot().Instances {
				least, most = min(least, in.Busy), max(most, in.Busy)
			}
			if most-least > 1 {
				t.Fatalf("after %d leases one instance has %d and another %d", n, most, least)
			}
		}
		// Two of b's end: the next two requests go there.
		freed := 0
		for _, l := range leases {
			if l.Addr() == "b" && freed < 2 {
				freed++
				exchange(t, l)
			}
			if l.Addr() == "b" && freed <= 2 && l.ended {
				l.Release()
				continue
			}
			defer l.Release()
		}
		for range 2 {
			l := mustLease(t, p)
			defer l.Release()
			if l.Addr() != "b" || l.Fresh() {
				t.Errorf("leased %s, fresh %v, want the idle one of b", l.Addr(), l.Fresh())
			}
		}
		p.mu.Lock()
		full := p.choose(Demand{}, func(in *instance) bool { return in.working() < p.config().Workers })
		p.mu.Unlock()
		if full != nil {
			t.Errorf("%s has room with 12 leases out", full.Addr)
		}
	})
}

// Requests one after another use the connections there are; they do not dial
// past them.
func TestSeveralInstancesReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{
			Instances: []Instance{
				{Addr: "a", Dial: fcgitest.Start(t, fcgitest.Hello).Dial},
				{Addr: "b", Dial: fcgitest.Start(t, fcgitest.Hello).Dial},
			},
			Workers: 8,
		})
		for range 20 {
			serve(t, p)
		}
		for _, in := range p.Snapshot().Instances {
			if in.Dials != 1 || in.Reuses != 9 {
				t.Errorf("%s: %d dials, %d reuses, want 1, 9", in.Addr, in.Dials, in.Reuses)
			}
		}
	})
}
