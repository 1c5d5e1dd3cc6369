package fcgitest

import (
	"io"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func servePage(s *Session, r *Request) { s.Send(Out(r.ID, Page), End(r.ID)) }

func TestThreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewThreadPool(2, 5*time.Millisecond, servePage)
		peers := []*Peer{Start(t, pool.Script()), Start(t, pool.Script())}
		a, b := connect(t, peers[0].Dial), connect(t, peers[1].Dial)
		a.wantServed(1)
		a.wantServed(1)
		b.wantServed(1)

		connect(t, peers[0].Dial).wantError(io.EOF)
		connect(t, peers[1].Dial).wantError(io.EOF)

		a.Close()
		synctest.Wait()
		if peers[0].Open() != 0 || pool.Busy() != 2 {
			t.Errorf("%d connections, %d threads, want the thread to outlive its connection", peers[0].Open(), pool.Busy())
		}
		time.Sleep(5*time.Millisecond - time.Nanosecond)
		connect(t, peers[0].Dial).wantError(io.EOF)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		connect(t, peers[0].Dial).wantServed(1)

		if pool.TurnedAway() != 3 || pool.Most() != 2 || pool.Busy() != 2 {
			t.Errorf("%d turned away, %d at most, %d busy; want 3, 2, 2", pool.TurnedAway(), pool.Most(), pool.Busy())
		}
	})
}

// Who is turned away after sending something is reset.
func TestThreadsTurnAwayUnread(t *testing.T) {
	ln := Listen(1)
	c := connect(t, ln.Dial)
	c.send(whole(1, "/"))
	peer := Serve(t, ln, ln.Dial, "memory", Threads(0, 0, servePage))
	c.wantError(syscall.ECONNRESET)
	if n := len(peer.Requests()); n != 0 {
		t.Errorf("%d requests were read", n)
	}
}

// A peer that is stopped has no threads left to clean up.
func TestThreadsEndWithTheirPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewThreadPool(1, time.Hour, servePage)
		peer := Start(t, pool.Script())
		connect(t, peer.Dial).wantServed(1)
		start := time.Now()
		peer.Restart(time.Second)
		connect(t, peer.Dial).wantServed(1)
		wantSince(t, start, time.Second)
	})
}

// unread is connect, and a request that is not answered yet.
func unread(t *testing.T, peer *Peer) *client {
	t.Helper()
	c := connect(t, peer.Dial)
	c.send(whole(1, "/"))
	c.wantNothing(time.Millisecond)
	return c
}

func TestProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, Processes(2, servePage))
		a, b := connect(t, peer.Dial), connect(t, peer.Dial)
		a.wantServed(1)
		b.wantServed(1)
		// Idle connections keep their processes, for hours.
		first := unread(t, peer)
		left := unread(t, peer)
		second := unread(t, peer)
		first.wantNothing(5 * time.Hour)
		left.Close()

		b.Close()
		first.want(page(1)...)
		second.wantNothing(time.Minute)
		first.Close()
		second.want(page(1)...)
		a.wantServed(1)
	})
}

func TestProcessesWithoutKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, Processes(1, servePage))
		a := connect(t, peer.Dial)
		request := whole(1, "/")
		request[10] = 0 // flags
		a.send(request)
		a.want(page(1)...)
		next := unread(t, peer)
		next.wantNothing(time.Hour)
		a.Close()
		next.want(page(1)...)
	})
}

func TestProcessesDropTheSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, Processes(1, servePage))
		start := time.Now()
		silent := connect(t, peer.Dial)
		synctest.Wait()
		next := unread(t, peer)
		silent.wantError(io.EOF)
		next.want(page(1)...)
		wantSince(t, start, 5*time.Second)
	})
}

// Those who wait go when their peer does, and take no process with them.
func TestProcessesQueueEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, Processes(1, servePage))
		busy := connect(t, peer.Dial)
		busy.wantServed(1)
		queued, silent := unread(t, peer), connect(t, peer.Dial)
		synctest.Wait()
		peer.Restart(time.Second)
		busy.wantError(io.EOF)
		queued.wantError(syscall.ECONNRESET)
		silent.wantError(syscall.ECONNRESET)
		connect(t, peer.Dial).wantServed(1)
	})
}
