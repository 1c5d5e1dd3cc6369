package connlimit

import (
	"log/slog"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A connection makes room for another before the server has taken it: the server does not
// get it any more, and the listener can be closed.
func TestClosedBeforeTheServerHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor()
		l := New(Config{Max: 20, Logger: slog.New(slog.DiscardHandler)})
		ln := l.Listener(d)
		come := func(addr string) *conn {
			c := newConn(addr)
			d.comes <- c
			synctest.Wait()
			return c
		}
		var mine []*conn
		for range 20 {
			mine = append(mine, come(hog))
		}
		come(good)
		come(good)
		if !mine[0].isClosed() || !mine[1].isClosed() {
			t.Fatal("the hog's oldest were not closed")
		}
		if c, err := ln.Accept(); err != nil || c != mine[2] {
			t.Errorf("Accept returned the hog's first: %v, %v", c == mine[0], err)
		}
		come(good)
		if !mine[2].isClosed() {
			t.Error("the one that the server has was not closed")
		}
		come(good) // and one that it has not
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		for _, c := range mine {
			if !c.isClosed() {
				t.Error("one was left open")
			}
		}
	})
}

// A request that the server has read from a connection which was closed meanwhile finds
// it closed, whoever was first.
func TestClosedUnderARequest(t *testing.T) {
	l := New(Config{Max: 1, Logger: slog.New(slog.DiscardHandler)})
	first, ln := newConn(good), l.Listener()
	l.admit(first, ln)
	l.mu.Lock()
	l.entries[first].idleSince = time.Now().Add(-requestGrace)
	l.mu.Unlock()
	if out := l.admit(newConn(hog), ln); out != first { // and is not closed yet
		t.Fatal("the first did not make room")
	}
	l.Track(first, http.StateActive)
	if !first.isClosed() {
		t.Error("the request begins on a connection that is about to be closed")
	}
}

// Those that wait come in as soon as somebody has been without a request for a while, be
// it one that has waited itself.
func TestWaitingBehindOneThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 1, MaxWaiting: 2})
		busy := b.crowd("192.0.2.5", 1, true)[0]
		silent, late := b.come(hog), b.come(good)
		b.l.Track(busy, http.StateClosed)
		b.want("the silent one", silent, true, false)
		time.Sleep(requestGrace + time.Millisecond)
		b.want("the silent one, later", silent, true, true)
		b.want("who waited behind it", late, true, false)
	})
}

// The descriptor that an idle connection gives up when there are none left is not the only
// thing: its place is for those that wait.
func TestOutOfFilesWhileSomeWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 2, MaxWaiting: 2})
		b.crowd("192.0.2.5", 1, true)
		silent, late := b.come(hog), b.come(good)
		b.door.comes <- syscall.EMFILE
		b.want("the silent one", silent, true, true)
		b.want("who waited", late, true, false)
	})
}

// A request that is cut must not look complete where the end of the connection is the end
// of the answer.
func TestCutRequestsAreReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 20, MaxWaiting: 1})
		mine := b.crowd(hog, 20, true)
		b.come(good)
		b.want("the oldest", mine[0], true, true)
		if !mine[0].reset.Load() {
			t.Error("the end of a cut answer is an ordinary one")
		}
		b.l.Track(mine[1], http.StateIdle)
		time.Sleep(requestGrace)
		b.come(good)
		b.want("the idle one", mine[1], true, true)
		if mine[1].reset.Load() {
			t.Error("what an idle client has not taken yet was thrown away")
		}
		b.l.Cut()
		for _, c := range mine[2:] {
			if !c.isClosed() || !c.reset.Load() {
				t.Error("Cut left one, or ended it in an ordinary way")
			}
		}
	})
}
