package pool

import (
	"errors"
	"io"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// looped is a lease as an event loop has it. What the loop tells, and is told, is the test's.
type looped struct {
	*Lease
	notified atomic.Int64
	notify   func()
	came     *atomic.Bool
}

// inLoop prepares a lease.
func inLoop(l *Lease) (*looped, error) {
	o := &looped{Lease: l}
	o.notify = func() { o.notified.Add(1) }
	l.Notify(&o.notify)
	return o, l.Watch(func(_ int, _ uint64, came *atomic.Bool) error {
		o.came = came
		return nil
	})
}

func mustLoop(t *testing.T, l *Lease) *looped {
	t.Helper()
	o, err := inLoop(l)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// begin sends a request. An error is that of the next event, too.
func (o *looped) begin() {
	if o.Write(requestWithID(o.RequestID())) == nil {
		o.SendDone()
	}
}

// event is what the loop does when its epoll tells of something.
func (o *looped) event(ending bool) {
	o.came.Store(true)
	o.Readable(ending)
}

// wantFailure checks the error that TryNext returns.
func (o *looped) wantFailure(t *testing.T, want error, replay Replay) {
	t.Helper()
	ev, err := o.TryNext()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(e, want) || e.Replay != replay {
		t.Errorf("event %v, error %v, want %v with replay %v", ev.Kind, err, want, replay)
	}
}

// finish reads the answer to its end, with an event whenever there is nothing.
func (o *looped) finish(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		switch ev, err := o.TryNext(); {
		case err != nil:
			t.Fatal(err)
		case ev.Kind == upstream.End:
			return
		case ev.Kind == 0:
			time.Sleep(time.Millisecond)
			o.event(false)
		}
	}
	t.Fatal("the answer does not end")
}

// await waits until ok returns true.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// A loop has no event of a descriptor that was closed on this side: it is notified.
func TestRemoveIsSeenInALoop(t *testing.T) {
	peer := fcgitest.StartUnix(t, fcgitest.Once(func(s *fcgitest.Session, _ *fcgitest.Request) { s.Gone() }))
	p := newPool(t, Config{Workers: 3, Instances: []Instance{instanceOf("a", peer)}, Multiplex: MultiplexOff})
	atWork, unsent := mustLoop(t, mustLease(t, p)), mustLoop(t, mustLease(t, p))
	unprepared := mustLease(t, p)
	atWork.begin()
	p.Remove("a")
	for _, o := range []*looped{atWork, unsent} {
		if o.notified.Load() == 0 {
			t.Error("the loop is not notified")
		}
	}
	atWork.wantFailure(t, ErrRemoved, ReplayNever)
	unsent.begin()
	unsent.wantFailure(t, ErrRemoved, ReplaySafe)
	last, err := inLoop(unprepared)
	if err == nil {
		t.Error("a connection that was closed can be watched")
	}
	last.wantFailure(t, ErrRemoved, ReplaySafe)
	for _, o := range []*looped{atWork, unsent, last} {
		o.Release()
	}
}

// What a loop could not watch fails at once: nobody would ever tell that there is something to read.
func TestUnwatchedFails(t *testing.T) {
	p := newPool(t, Config{Workers: 1, Instances: []Instance{instanceOf("a", fcgitest.StartUnix(t, fcgitest.Hello))}})
	l := mustLease(t, p)
	err := l.Watch(func(int, uint64, *atomic.Bool) error { return syscall.ENOSPC })
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v, want ENOSPC", err)
	}
	(&looped{Lease: l}).wantFailure(t, syscall.ENOSPC, ReplayNever)
	l.Release()

	p = newPool(t, Config{Workers: 1, Instances: []Instance{instanceOf("a", fcgitest.Start(t, fcgitest.Hello))}})
	l = mustLease(t, p)
	if err := l.Watch(func(int, uint64, *atomic.Bool) error { return nil }); err == nil {
		t.Error("a connection in memory can be watched")
	}
	if ev, err := l.TryNext(); err == nil {
		t.Errorf("event %v of a connection that nobody watches, want an error", ev.Kind)
	}
	l.Release()
}

// An application may close a kept connection at any time. The request is not left to wait for an answer
// that cannot come, if the loop is told between the lease and the request.
func TestEndAfterLease(t *testing.T) {
	p, o, end := kept(t)
	o.Release()
	l := mustLease(t, p)
	if l.Fresh() {
		t.Fatal("the connection was not kept")
	}
	end()
	o.came.Store(true) // as a loop does for a request that is over
	o = mustLoop(t, l)
	o.begin()
	ev, err := o.TryNext()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(e, io.EOF) && !errors.Is(e, syscall.ECONNRESET) || e.Replay == ReplayNever {
		t.Errorf("event %v, %v, want the end, and that the request can be sent again", ev.Kind, err)
	}
	o.Release()
}

// Another loop than the reader's may be the first to be told of an end.
func TestEndBeforeRelease(t *testing.T) {
	p, o, end := kept(t)
	end()
	o.came.Store(true)
	o.Release()
	l := mustLease(t, p)
	if !l.Fresh() {
		t.Error("a connection that has ended is leased again")
	}
	finish(t, l)
}

// kept returns a lease whose request was answered. end has the application close the connection.
func kept(t *testing.T) (p *Pool, o *looped, end func()) {
	closed := make(chan struct{})
	peer := fcgitest.StartUnix(t, func(s *fcgitest.Session) {
		s.Send(fcgitest.Good(s.Request().ID))
		<-closed
	}, fcgitest.Hello)
	p = newPool(t, Config{Workers: 1, Instances: []Instance{instanceOf("a", peer)}, Multiplex: MultiplexOff, KeepAlive: KeepOn})
	o = mustLoop(t, mustLease(t, p))
	o.begin()
	o.finish(t)
	return p, o, func() {
		close(closed)
		await(t, "the application does not close", func() bool { return peer.Open() == 0 })
	}
}
