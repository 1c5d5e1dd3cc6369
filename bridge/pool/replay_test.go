package pool

import (
	"errors"
	"io"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// What a failed attempt says of sending the request again.
func TestReplay(t *testing.T) {
	type want struct {
		replay Replay
		full   bool
		cause  error
	}
	for name, tc := range map[string]struct {
		script      fcgitest.Script
		fresh, kept want // on the first and on the second request of a connection
	}{
		"EOF": {
			script: fcgitest.EOFBeforeHeader,
			fresh:  want{ReplayNever, false, io.EOF},
			kept:   want{ReplayIdempotent, false, io.EOF},
		},
		"reset": {
			script: fcgitest.ResetBeforeReading,
			fresh:  want{ReplayIdempotent, true, syscall.ECONNRESET},
			kept:   want{ReplayIdempotent, false, syscall.ECONNRESET},
		},
		"reset in the middle of the script": {
			script: fcgitest.ResetInScript,
			fresh:  want{ReplayIdempotent, true, syscall.ECONNRESET},
			kept:   want{ReplayIdempotent, false, syscall.ECONNRESET},
		},
		"EOF after a byte": {
			script: fcgitest.EOFAt(1),
			fresh:  want{ReplayNever, false, io.EOF},
			kept:   want{ReplayNever, false, io.EOF},
		},
		"overloaded": {
			script: fcgitest.Refuse(fcgitest.Overloaded),
			fresh:  want{ReplaySafe, true, upstream.ErrOverloaded},
			kept:   want{ReplaySafe, true, upstream.ErrOverloaded},
		},
		"cannot multiplex": {
			script: fcgitest.Refuse(fcgitest.CantMpxConn),
			fresh:  want{ReplaySafe, false, upstream.ErrCantMultiplex},
			kept:   want{ReplaySafe, false, upstream.ErrCantMultiplex},
		},
		"unknown role": {
			script: fcgitest.Refuse(fcgitest.UnknownRole),
			fresh:  want{ReplayNever, false, upstream.ErrUnknownRole},
			kept:   want{ReplayNever, false, upstream.ErrUnknownRole},
		},
	} {
		check := func(t *testing.T, l *Lease, want want) {
			t.Helper()
			defer l.Release()
			_, err := converse(l)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want an *Error", err)
			}
			if e.Replay != want.replay || e.Full != want.full || !errors.Is(err, want.cause) || e.Addr != "app" {
				t.Errorf("replay %v, full %v, %v; want %+v", e.Replay, e.Full, err, want)
			}
		}
		inBubble(t, name+"/fresh", func(t *testing.T) {
			p := threadedPool(t, fcgitest.Start(t, tc.script), 1)
			check(t, mustLease(t, p), tc.fresh)
		})
		inBubble(t, name+"/kept", func(t *testing.T) {
			p := threadedPool(t, fcgitest.Start(t, fcgitest.First(fcgitest.Page, tc.script)), 1)
			serve(t, p)
			check(t, mustLease(t, p), tc.kept)
		})
	}
}

// A kept connection that had been closed before anything could be written:
// sending again is safe for every method.
func TestReplayIsSafeWhereNothingWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := poolFor(t, fcgitest.Start(t, fcgitest.CloseWhenIdle(time.Second)), 1)
		serve(t, p)
		time.Sleep(2 * time.Second)
		l := mustLease(t, p) // in memory nothing can look at the connection before
		defer l.Release()
		_, err := converse(l)
		var e *Error
		if !errors.As(err, &e) || e.Replay != ReplaySafe || e.Full {
			t.Errorf("error %#v, want ReplaySafe", err)
		}
	})
}

// A server that is full may close a fresh connection before or after the request
// has been written to it. Of one whose kind lets connections wait, neither means
// that it is full.
func TestAcceptThenClose(t *testing.T) {
	for _, tc := range []struct {
		name      string
		turnsAway bool
		script    fcgitest.Script
		pause     time.Duration // before the request
		replay    Replay
	}{
		{"before the request", true, fcgitest.AcceptThenClose, time.Second, ReplaySafe},
		{"after the request", true, fcgitest.ResetBeforeReading, 0, ReplayIdempotent},
		{"before the request of a process", false, fcgitest.AcceptThenClose, time.Second, ReplaySafe},
		{"after the request of a process", false, fcgitest.ResetBeforeReading, 0, ReplayNever},
	} {
		inBubble(t, tc.name, func(t *testing.T) {
			p := poolOf(t, fcgitest.Start(t, tc.script).Dial, Config{Workers: 1, ClosesWhenFull: tc.turnsAway})
			l := mustLease(t, p)
			defer l.Release()
			time.Sleep(tc.pause)
			_, err := converse(l)
			var e *Error
			if !errors.As(err, &e) || e.Full != tc.turnsAway || e.Replay != tc.replay {
				t.Errorf("%v: full %v, replay %v, want %v, %v", err, e.Full, e.Replay, tc.turnsAway, tc.replay)
			}
		})
	}
}

// A kept connection over a socket is checked before it is used: if it was closed, or
// something has come, it is not used.
func TestStaleConnectionIsNotUsed(t *testing.T) {
	for name, afterwards := range map[string]func(*fcgitest.Session){
		"closed": func(*fcgitest.Session) {},
		"unasked": func(s *fcgitest.Session) {
			s.Send(fcgitest.Out(1, "more"))
			s.Gone()
		},
	} {
		t.Run(name, func(t *testing.T) {
			released := make(chan struct{})
			peer := fcgitest.StartUnix(t, fcgitest.First(fcgitest.Page, func(s *fcgitest.Session) {
				<-released
				afterwards(s)
			}), fcgitest.Hello)
			p := poolFor(t, peer, 1)
			l := mustLease(t, p)
			finish(t, l)
			close(released)
			waitReadable(t, p)
			l = mustLease(t, p)
			if !l.Fresh() {
				t.Error("the stale connection was leased")
			}
			finish(t, l)
			if in := p.Snapshot().Instances[0]; in.Stale != 1 || in.Idle != 1 {
				t.Errorf("%d stale, %d idle, want 1, 1", in.Stale, in.Idle)
			}
		})
	}
}

// waitReadable waits until something has come on the idle connection.
func waitReadable(t *testing.T, p *Pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.instances[0].idle
	if len(idle) == 0 {
		t.Fatal("the connection was not kept")
	}
	c := idle[0]
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	peek := make([]byte, 1)
	err := c.raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), peek, syscall.MSG_PEEK)
		return err != syscall.EAGAIN
	})
	if err != nil {
		t.Fatalf("nothing came: %v", err)
	}
}
