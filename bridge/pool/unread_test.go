package pool

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// sent is a request that was sent whole.
func sent(t testing.TB, p *Pool, uri string) *Lease {
	t.Helper()
	l := mustLease(t, p)
	send(t, l, uri)
	synctest.Wait()
	return l
}

// worker reads nothing while it works on after an answer, and leaves nothing unread when it
// answers.
var worker = fcgitest.Each(func(s *fcgitest.Session, r *fcgitest.Request) {
	page(s, r)
	if d, err := time.ParseDuration(r.Param("REQUEST_URI")); err == nil {
		s.HoldFor(d)
	}
})

// A request on a kept connection that is not read is given up if it can be sent elsewhere.
// It may still be read later. Connections are not kept after that.
func TestUnreadRequest(t *testing.T) {
	for name, unused := range map[string]int{"there is room": 0, "there is another": 1} {
		inBubble(t, name, func(t *testing.T) {
			peer := fcgitest.Start(t, worker)
			peer.Values(fcgitest.ValuesNo)
			p := autoPool(t, peer, 2)
			serveSome(t, p, 2)
			wantKeepAlive(t, p, "on", "")
			together(t, p, 1+unused, 0)
			l := sent(t, p, "0s")
			if unused > 0 { // it is on the one that was used last
				visit(t, p, Demand{}, 0)
			}
			finishAnswer(t, l)
			visit(t, p, Demand{}, 10*time.Second)

			l = sent(t, p, "0s")
			if !l.RequestUnread() {
				t.Error("nothing is seen")
			}
			if e := l.AbandonUnread(); e != nil {
				t.Errorf("given up although nobody else was served: %v", e)
			}
			time.Sleep(time.Millisecond)
			l.ProbeServing()
			synctest.Wait()
			e := l.AbandonUnread()
			if e == nil || !errors.Is(e, ErrRequestUnread) || e.Replay != ReplayIdempotent {
				t.Fatalf("%+v", e)
			}
			p.CountReplay(e)
			l.Release()
			wantKeepAlive(t, p, "off", "a request on a kept connection was not read")
			wantCounts(t, p, counts{})
			equal(t, "elsewhere it took", visit(t, p, Demand{Fresh: true}, 0), 0)
			equal(t, "replays", p.Snapshot().Instances[0].Replays["ignored"], 1)
		})
	}
	// The request is not given up if there is no other connection for it.
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, worker)
		peer.Values(fcgitest.ValuesNo)
		p := autoPool(t, peer, 1)
		visit(t, p, Demand{}, 0)
		synctest.Wait()
		visit(t, p, Demand{}, time.Second)
		l := sent(t, p, "0s")
		time.Sleep(time.Millisecond)
		l.ProbeServing()
		synctest.Wait()
		if e := l.AbandonUnread(); e != nil {
			t.Errorf("%v", e)
		}
		finishPage(t, l)
	})
}

// An application that has stopped reads nothing, either, and is none that ignores a
// request: it would not read that elsewhere.
func TestStoppedIsNotUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, worker, fcgitest.SilentForever)
		peer.Values(fcgitest.ValuesNo)
		p := autoPool(t, peer, 2)
		serveSome(t, p, 2)
		peer.Values(fcgitest.ValuesSilent)
		visit(t, p, Demand{}, time.Second)
		l := sent(t, p, "0s")
		time.Sleep(time.Millisecond)
		l.ProbeServing()
		time.Sleep(500 * time.Millisecond)
		if e := l.AbandonUnread(); !l.RequestUnread() || e != nil {
			t.Errorf("ignored: %v, %v", l.RequestUnread(), e)
		}
		l.NoteUnread()
		wantKeepAlive(t, p, "on", "")
		finishAnswer(t, l)
		wantCounts(t, p, counts{idle: 1})
	})
}

// A request that was read, in part or slowly answered, does not count as unread.
func TestSlowRequestIsNotUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.AnswerAfter(time.Second, fcgitest.Page))
		peer.Values(fcgitest.ValuesNo)
		p := autoPool(t, peer, 2)
		visit(t, p, Demand{}, 0)
		synctest.Wait()
		l := sent(t, p, "0s")
		if l.Fresh() || l.RequestUnread() {
			t.Errorf("fresh: %v, ignored: %v", l.Fresh(), l.RequestUnread())
		}
		finishAnswer(t, l)
		wantKeepAlive(t, p, "on", "")
	})
}

// A request that must not be sent again waits on, and connections are not kept for others.
func TestUnreadRequestIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, worker)
		peer.Values(fcgitest.ValuesNo)
		p := autoPool(t, peer, 2)
		serveSome(t, p, 2)
		visit(t, p, Demand{}, time.Second)
		l := sent(t, p, "0s")
		time.Sleep(time.Millisecond)
		l.ProbeServing()
		synctest.Wait()
		l.NoteUnread()
		finishPage(t, l)
		wantKeepAlive(t, p, "off", "a request on a kept connection was not read")
		wantCounts(t, p, counts{})
	})
}
