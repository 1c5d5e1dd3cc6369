package fcgitest

import (
	"context"
	"errors"
	"io"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, Hello, SilentForever, MuxHold, MuxPage, SilentForever, AnswerAfter(time.Hour, Page), Echo)
		idle, busy, held, muxIdle := connect(t, peer.Dial), connect(t, peer.Dial), connect(t, peer.Dial), connect(t, peer.Dial)
		unasked := connect(t, peer.Dial)
		working := connect(t, peer.Dial)
		idle.wantServed(1)
		busy.send(whole(1, "/"))
		held.send(whole(1, "/"))
		muxIdle.wantServed(1)
		working.send(whole(1, "/"))
		synctest.Wait()

		start := time.Now()
		peer.Stop()
		peer.Stop() // changes nothing
		wantSince(t, start, 0)
		for _, c := range []*client{idle, muxIdle, unasked} {
			c.wantError(io.EOF)
		}
		for _, c := range []*client{busy, held, working} {
			c.wantError(syscall.ECONNRESET)
		}
		if _, err := peer.Dial(context.Background()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial: %v, want ECONNREFUSED", err)
		}

		peer.Resume()
		peer.Resume() // changes nothing
		c := connect(t, peer.Dial)
		c.send(whole(1, "/"))
		c.want("out 1  / \n", "end 1 0")
		if peer.Accepted() != 7 || peer.Open() != 1 {
			t.Errorf("%d accepted, %d open", peer.Accepted(), peer.Open())
		}
	})
}

func TestStopResetsTheBacklog(t *testing.T) {
	ln := Listen(1)
	empty, full := connect(t, ln.Dial), connect(t, ln.Dial)
	full.send(whole(1, "/"))
	if err := ln.reset(); err != nil {
		t.Fatal(err)
	}
	empty.wantError(syscall.ECONNRESET)
	full.wantError(syscall.ECONNRESET)
}

// On a unix socket, who has bytes unread is reset.
func TestRestartUnix(t *testing.T) {
	accepted := make(chan struct{})
	peer := StartUnix(t, Hello, func(s *Session) {
		close(accepted)
		s.Hold()
	}, Hello)
	idle, unread := connect(t, peer.Dial), connect(t, peer.Dial)
	idle.wantServed(1)
	unread.send(whole(1, "/"))
	<-accepted
	peer.Stop()
	idle.wantError(io.EOF)
	unread.wantError(syscall.ECONNRESET)
	if _, err := peer.Dial(context.Background()); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("Dial: %v, want ENOENT", err)
	}
	peer.Resume()
	connect(t, peer.Dial).wantServed(1)
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, Hello)
		go peer.Restart(3 * time.Second)
		time.Sleep(3*time.Second - time.Nanosecond)
		if _, err := peer.Dial(context.Background()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial: %v, want ECONNREFUSED", err)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		connect(t, peer.Dial).wantServed(1)
	})
}

func TestCloseEndsRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, Hello)
		start := time.Now()
		time.AfterFunc(time.Second, peer.Close)
		peer.Restart(time.Hour)
		wantSince(t, start, time.Second)
		if _, err := peer.Dial(context.Background()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial: %v, want ECONNREFUSED", err)
		}
	})
}

// Connections whose request was not read are served by the new processes.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, Processes(2, func(s *Session, r *Request) {
			s.HoldFor(time.Second)
			servePage(s, r)
		}))
		idle, busy := connect(t, peer.Dial), connect(t, peer.Dial)
		idle.wantServed(1)
		busy.send(whole(1, "/"))
		queued := unread(t, peer)
		peer.Reload()
		idle.wantError(io.EOF)
		busy.wantError(syscall.ECONNRESET)
		queued.want(page(1)...)
		connect(t, peer.Dial).wantServed(1)
		peer.Reload()
		queued.wantError(io.EOF) // it is like any other now
	})
}
