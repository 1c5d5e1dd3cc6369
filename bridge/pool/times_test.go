package pool

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// What an application is believed to hold grows back after a minute, and faster from
// then on.
func TestCapacityGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.Refuse(fcgitest.Overloaded)), 4)
		first, second, third := mustLease(t, p), mustLease(t, p), mustLease(t, p)
		if _, err := converse(third); !errors.Is(err, upstream.ErrOverloaded) {
			t.Fatal(err)
		}
		for _, l := range []*Lease{first, second, third} {
			l.Release()
		}
		want := func(observed int, state string) {
			t.Helper()
			synctest.Wait()
			if s := p.Snapshot().Instances[0]; s.Observed != observed || s.State != state {
				t.Errorf("observed %d, %s, want %d, %s", s.Observed, s.State, observed, state)
			}
		}
		want(2, "full")
		time.Sleep(growEvery - time.Nanosecond)
		want(2, "full")
		time.Sleep(time.Nanosecond)
		want(3, "full")
		time.Sleep(growEvery/2 - time.Nanosecond)
		want(3, "full")
		time.Sleep(time.Nanosecond)
		want(4, "up")
	})
}

// An instance that cannot be connected to is tried again after 1 s, 2 s, and so on
// up to every 30 s, and is back as soon as that succeeds.
func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var tried []time.Duration
		peer := fcgitest.Start(t, fcgitest.Hello)
		const back = 2 * time.Minute
		p := newPool(t, Config{Workers: 1, Instances: []Instance{
			{Addr: "down", Dial: func(ctx context.Context) (net.Conn, error) {
				if time.Since(begun) > back {
					return peer.Dial(ctx)
				}
				tried = append(tried, time.Since(begun))
				return nil, errors.New("no route to host")
			}},
			{Addr: "up", Dial: peer.Dial},
		}})
		l := mustLease(t, p)
		time.Sleep(back)
		synctest.Wait()
		want := []time.Duration{0, 1, 3, 7, 15, 31, 61, 91}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(tried, want) {
			t.Errorf("tried at %v, want %v", tried, want)
		}
		time.Sleep(time.Second - time.Nanosecond)
		synctest.Wait()
		if s := p.Snapshot().Instances[0]; s.State != "down" {
			t.Errorf("%s before it was tried", s.State)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if s := p.Snapshot().Instances[0]; s.State != "up" || s.Idle != 0 {
			t.Errorf("%s with %d idle, want up, and the connection closed that nobody needs", s.State, s.Idle)
		}
		l.Release()
	})
}

// On a connection that may be one too many the request waits for listenFor after
// its BEGIN_REQUEST.
func TestListensFor10ms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := threadedPool(t, fcgitest.Start(t, fcgitest.Hello), 2)
		p.instances[0].behaviour.noQueryBefore = time.Now().Add(time.Hour) // or it would be queried instead
		first, second := mustLease(t, p), leaseFor(t, p, Demand{NoReplay: true})
		for i, l := range []*Lease{first, second} {
			begun := time.Now()
			if err := l.Write(request); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(begun); d != []time.Duration{0, guardTime}[i] {
				t.Errorf("sending request %d took %v", i+1, d)
			}
			l.Release()
		}
	})
}

// Where a connection is for one request, its room is free when a server with threads
// has closed it, or, if it does not, after lingerTimeout. A process waits for us to close.
func TestOneRequestPerConnection(t *testing.T) {
	for name, tc := range map[string]struct {
		threads bool
		script  fcgitest.Script
		after   time.Duration
	}{
		"the application closes":        {true, fcgitest.CloseAfterEnd, 0},
		"it closes a moment later":      {true, fcgitest.CloseWhenIdle(300 * time.Millisecond), 300 * time.Millisecond},
		"it waits for us to be the one": {true, fcgitest.Hello, lingerTimeout},
		"a process":                     {false, fcgitest.Hello, 0},
	} {
		inBubble(t, name, func(t *testing.T) {
			peer := fcgitest.Start(t, tc.script)
			p := poolOf(t, peer.Dial, Config{Workers: 1, KeepAlive: KeepOff, ClosesWhenFull: tc.threads})
			l := mustLease(t, p)
			if l.KeepConn() {
				t.Error("the application would be asked to keep the connection")
			}
			finish(t, l)
			begun := time.Now()
			next := mustLease(t, p)
			if d := time.Since(begun); d != tc.after || !next.Fresh() {
				t.Errorf("the next request waited %v, want %v", d, tc.after)
			}
			next.Release()
		})
	}
}

// An application that has closed three connections in a row after their first answer has
// eofTimeout to close the next. If it does not, that connection is kept, and the next ones
// are, too.
func TestClosingAfterEachAnswerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closes := fcgitest.CloseAfterEnd
		p := poolFor(t, fcgitest.Start(t, closes, closes, closes, closes, fcgitest.Hello), 1)
		for i := range closesAlwaysAfter {
			serve(t, p)
			wantCounts(t, p, counts{idle: 1})
			l := mustLease(t, p) // in memory nothing can look at the connection before
			if _, err := converse(l); err == nil {
				t.Fatalf("connection %d was not closed", i+1)
			}
			l.Release()
		}
		if s := p.Snapshot().Instances[0]; !s.ClosesAlways || !s.ClosesIdle {
			t.Errorf("not noticed: %+v", s)
		}
		serve(t, p)
		wantCounts(t, p, counts{})
		serve(t, p)
		wantCounts(t, p, counts{closing: 1})
		time.Sleep(eofTimeout - time.Nanosecond)
		wantCounts(t, p, counts{closing: 1})
		time.Sleep(time.Nanosecond)
		wantCounts(t, p, counts{idle: 1})
		serve(t, p)
		wantCounts(t, p, counts{idle: 1})
	})
}

// An application is expected to close kept connections for rememberFor after it did.
func TestClosingIdleIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.CloseAfterEnd, fcgitest.Hello), 1)
		serve(t, p)
		l := mustLease(t, p)
		if _, err := converse(l); err == nil {
			t.Fatal("the connection was not closed")
		}
		l.Release()
		time.Sleep(rememberFor - time.Nanosecond)
		if !p.Snapshot().Instances[0].ClosesIdle {
			t.Error("forgotten too soon")
		}
		time.Sleep(time.Nanosecond)
		if p.Snapshot().Instances[0].ClosesIdle {
			t.Error("not forgotten")
		}
	})
}
