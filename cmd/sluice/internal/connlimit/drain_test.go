package connlimit

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// drain starts a drain of a minute, and returns what waits for its end and says how it
// ended, and when.
func (b *bench) drain() func() (time.Duration, error) {
	type end struct {
		err   error
		after time.Duration
	}
	done := make(chan end, 1)
	begun := time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := b.l.Drain(ctx)
		done <- end{err, time.Since(begun)}
	}()
	synctest.Wait()
	return func() (time.Duration, error) {
		e := <-done
		return e.after, e.err
	}
}

// Kept connections are closed at once, and those without a request do not hold it for long.
func TestDrainWithoutRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 10, MaxWaiting: 1})
		silent, kept, just := b.come(good), b.come(good), b.come(good)
		for _, c := range []*conn{kept, just} {
			b.l.Track(c, http.StateActive)
		}
		b.l.Track(kept, http.StateIdle)
		time.Sleep(keptGrace)
		b.l.Track(just, http.StateIdle)
		wait := b.drain()
		b.want("the kept one", kept, true, true)
		b.want("the one that was idle just now", just, true, false)
		time.Sleep(keptGrace)
		b.want("the same later", just, true, true)
		b.want("the silent one", silent, true, false)
		if after, err := wait(); err != nil || after != newGrace {
			t.Errorf("%v after %v", err, after)
		}
		b.want("the silent one at the end", silent, true, true)
	})
}

// Before a drain, connections that were accepted have a moment for their first request.
func TestStopAccepting(t *testing.T) {
	for name, tt := range map[string]struct {
		then func(b *bench, silent, kept *conn)
		want time.Duration
	}{
		"no request comes": {func(*bench, *conn, *conn) {}, newGrace},
		"one comes and is answered": {func(b *bench, silent, _ *conn) {
			b.l.Track(silent, http.StateActive)
			time.Sleep(newGrace / 5)
			b.l.Track(silent, http.StateIdle)
		}, newGrace / 5},
		"it takes longer": {func(b *bench, silent, _ *conn) { b.l.Track(silent, http.StateActive) }, newGrace},
		"they leave": {func(b *bench, silent, kept *conn) {
			b.l.Track(kept, http.StateClosed)
			time.Sleep(newGrace / 2)
			b.l.Track(silent, http.StateClosed)
		}, newGrace / 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, Config{Max: 10, MaxWaiting: 1})
				silent, kept := b.come(good), b.come(good)
				b.l.Track(kept, http.StateActive)
				b.l.Track(kept, http.StateIdle)
				done, begun := make(chan time.Duration, 1), time.Now()
				go func() {
					b.l.StopAccepting()
					done <- time.Since(begun)
				}()
				synctest.Wait()
				select {
				case <-b.door.shut:
				default:
					t.Error("it still accepts")
				}
				b.want("the silent one", silent, true, false)
				b.want("the kept one", kept, true, false)
				tt.then(b, silent, kept)
				if after := <-done; after != tt.want {
					t.Errorf("it took %v, want %v", after, tt.want)
				}
				b.l.Track(silent, http.StateClosed)
				if _, err := b.drain()(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// While there are requests, those that are silent may still send theirs. Who is given to
// the server after that is not looked after any more.
func TestDrainWithRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 10, MaxWaiting: 1})
		silent, first, second := b.come(good), b.come(good), b.come(good)
		b.l.Track(first, http.StateActive)
		b.l.Track(second, http.StateActive)
		wait := b.drain()
		time.Sleep(10 * time.Second)
		b.want("the silent one", silent, true, false)
		b.l.Track(silent, http.StateActive) // it is refused
		b.l.Track(silent, http.StateClosed)
		b.l.Track(first, http.StateIdle) // its answer had begun before
		b.l.Track(second, http.StateIdle)
		b.l.Track(second, http.StateActive) // a request that had been sent with the first
		time.Sleep(keptGrace)
		b.want("the idle one", first, true, true)
		b.want("the pipelined one", second, true, false)
		b.l.Track(second, http.StateClosed)
		if after, err := wait(); err != nil || after != 10*time.Second+keptGrace {
			t.Errorf("%v after %v", err, after)
		}
	})
}

// A connection that the server ends itself has time for that after its last answer, however long the
// drain has lasted by then: in HTTP/2, an answer's end is sent when the connection is idle already.
func TestDrainAfterTheLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 10, MaxWaiting: 1})
		idle, busy, ends := b.come(good), b.come(good), b.come(good)
		for _, c := range []*conn{idle, busy, ends} {
			b.l.EndsItself(c)
			b.l.Track(c, http.StateActive)
		}
		b.l.Track(idle, http.StateIdle)
		time.Sleep(10 * time.Second)
		wait := b.drain()
		b.want("the idle one", idle, true, false)
		time.Sleep(selfGrace)
		b.want("the idle one later", idle, true, true)
		time.Sleep(10 * time.Second)
		b.l.Track(busy, http.StateIdle)
		b.l.Track(ends, http.StateIdle)
		b.want("one whose answer is being sent", busy, true, false)
		time.Sleep(selfGrace / 2)
		b.l.Track(ends, http.StateClosed)
		b.want("the same later", busy, true, false)
		if after, err := wait(); err != nil || after != 10*time.Second+2*selfGrace {
			t.Errorf("%v after %v", err, after)
		}
		b.want("one that the server does not end", busy, true, true)
	})
}

// What has not finished is cut, after a moment in which it may end by itself.
func TestCut(t *testing.T) {
	for name, ends := range map[string]bool{"ends by itself": true, "does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, Config{Max: 10, MaxWaiting: 1})
				busy, silent := b.come(good), b.come(good)
				b.l.Track(busy, http.StateActive)
				after, err := b.drain()()
				if !errors.Is(err, context.DeadlineExceeded) || after != time.Minute || b.l.Requests() != 1 {
					t.Errorf("%v after %v, %d requests", err, after, b.l.Requests())
				}
				if ends {
					time.AfterFunc(cutGrace/2, func() { b.l.Track(busy, http.StateClosed) })
				}
				begun := time.Now()
				b.l.Cut()
				want := cutGrace
				if ends {
					want /= 2
				}
				if d := time.Since(begun); d != want {
					t.Errorf("cut after %v, want %v", d, want)
				}
				b.want("the busy one", busy, true, !ends)
				b.want("the silent one", silent, true, true)
			})
		})
	}
}

// Those that have their place go to the server, although the listener is closed.
func TestDrainOfReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, d := New(Config{Max: 10, MaxWaiting: 1}), newDoor()
		ln := l.Listener(d)
		c := newConn(good)
		d.comes <- c
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { drained <- l.Drain(context.Background()) }()
		synctest.Wait()
		got, err := ln.Accept()
		if got != c || err != nil || c.isClosed() {
			t.Fatalf("%v, %v, closed %v", got, err, c.isClosed())
		}
		if _, err := ln.Accept(); err == nil {
			t.Error("and another one")
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// A client may have its share of half-closed connections, a proxy any number.
func TestHalfClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 100, MaxWaiting: 1, Exempt: func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.9") }})
		of := map[string]int{}
		var permitted []*conn
		for _, addr := range []string{hog, good, "192.0.2.9"} {
			for _, c := range b.crowd(addr, 20, true) {
				if b.l.Permit(c) {
					of[addr]++
					permitted = append(permitted, c)
				}
			}
		}
		if of[hog] != 16 || of[good] != 16 || of["192.0.2.9"] != 20 || b.l.Snapshot().HalfClosed != 52 {
			t.Errorf("%v, %+v", of, b.l.Snapshot())
		}
		if b.l.Permit(permitted[0]) {
			t.Error("permitted twice")
		}
		b.l.Done(permitted[0])
		b.l.Track(permitted[1], http.StateClosed)
		b.l.Done(permitted[1])
		if s := b.l.Snapshot(); s.HalfClosed != 50 {
			t.Errorf("%+v", s)
		}
		if !b.l.Permit(permitted[0]) {
			t.Error("not permitted when there is room")
		}
		for _, c := range permitted {
			b.l.Track(c, http.StateClosed)
		}
		if s := b.l.Snapshot(); s.HalfClosed != 0 {
			t.Errorf("%+v", s)
		}
	})
}
