package bridge

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// slowly answers paths that begin with /poll after d, and others after 10 ms.
func slowly(d time.Duration) fcgitest.Script {
	return fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
		if strings.HasPrefix(q.Param("REQUEST_URI"), "/poll") {
			s.HoldFor(d)
		} else {
			s.HoldFor(10 * time.Millisecond)
		}
		s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
	})
}

// ask makes a request with header fields, given in pairs.
func (r *rig) ask(method, path string, header ...string) reply {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://app.test"+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return r.send(req)
}

// startAsking is ask in a goroutine.
func (r *rig) startAsking(method, path string, header ...string) func() reply {
	done := make(chan reply, 1)
	go func() { done <- r.ask(method, path, header...) }()
	synctest.Wait()
	return func() reply { return <-done }
}

// gate is the gate's state when everybody has done what there was to do.
func (r *rig) gate() admission.Snapshot {
	synctest.Wait()
	return r.b.Snapshot().Gate
}

// What a request says of itself decides about its lane, before anything is known.
func TestLanes(t *testing.T) {
	for name, tc := range map[string]struct {
		path   string
		header []string
		lane   string
	}{
		"nothing known":    {"/", nil, "unknown"},
		"declared":         {"/poll", nil, "long"},
		"declared, deeper": {"/chat/7/events?since=1", nil, "long"},
		"an event stream":  {"/", []string{"Accept", "text/event-stream"}, "long"},
		"if need be":       {"/", []string{"Accept", "application/json, text/event-stream"}, "unknown"},
		"willing to wait":  {"/", []string{"Prefer", "respond-async, Wait = 30"}, "long"},
		"unwilling":        {"/", []string{"Prefer", "wait=0"}, "unknown"},
		"another word":     {"/", []string{"Prefer", "wait-for-it=1, return=minimal"}, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 4}, SiteConfig: SiteConfig{LongPoll: []string{"/poll", "/chat/*/events"}}}, fcgitest.Hello)
				r.wantPage(r.ask("GET", tc.path, tc.header...))
				if o := r.outcome(); o.Lane != tc.lane || string(o.Refused) != "" {
					t.Errorf("lane %q, refused %q, want %q", o.Lane, string(o.Refused), tc.lane)
				}
				if got := r.gate().Lanes[tc.lane].Started; got != 1 {
					t.Errorf("%d requests in lane %s, want 1", got, tc.lane)
				}
			})
		})
	}
}

// Without lanes a request's words mean nothing.
func TestLanesOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: Off, Workers: 1, Queue: QueueConfig{LongTimeout: Duration(time.Hour)}}}, slowly(5*time.Second))
		first := r.start("GET", "/poll", nil)
		second := r.get("/poll")
		r.wantError(second, 503, errLimit)
		if second.after != 3*time.Second {
			t.Errorf("refused after %v, want 3s", second.after)
		}
		r.wantPage(first())
		if s := r.gate(); len(s.Routes) != 0 || len(s.ClientKeys) != 0 {
			t.Errorf("routes %v and flows %v without lanes", s.Routes, s.ClientKeys)
		}
	})
}

// Polls do not take the last workers, are parked, and are served in turn.
func TestPollsAreParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 4}, SiteConfig: SiteConfig{LongPoll: []string{"/poll*"}}}, slowly(5*time.Second))
		var polls []func() reply
		for range 6 {
			polls = append(polls, r.start("GET", "/poll", nil))
		}
		time.Sleep(2 * time.Second) // the gate finds out that nobody else wants the workers
		s := r.gate()
		if parked := s.Lanes["long"].Waiting; s.InUse != 4-s.Reserve || parked != 6-s.InUse || s.Reserve < 1 {
			t.Errorf("%d slots in use, %d parked, reserve %d", s.InUse, parked, s.Reserve)
		}
		if re := r.get("/page"); re.after > 50*time.Millisecond {
			t.Errorf("a page took %v", re.after)
		}
		for _, p := range polls {
			r.wantPage(p())
		}
		if n := r.peer.MostOpen(); n > 4 {
			t.Errorf("%d connections to four workers", n)
		}
	})
}

// A client that leaves while its request is parked is forgotten at once.
func TestLeavesWhileParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 2}, SiteConfig: SiteConfig{LongPoll: []string{"/poll"}}}, slowly(10*time.Second))
		first := r.start("GET", "/poll", nil)
		leave := r.startLeaving("GET", "/poll", nil)
		time.Sleep(5 * time.Second) // longer than a short one may wait
		if s := r.gate(); s.Lanes["long"].Waiting != 1 || s.InUse != 1 {
			t.Fatalf("%+v, want one that is parked", s)
		}
		leave()
		if s := r.gate(); s.Waiting != 0 || s.Lanes["long"].Left != 1 {
			t.Errorf("%d wait, %d left, want 0, 1", s.Waiting, s.Lanes["long"].Left)
		}
		if o := r.outcome(); o.Status != StatusClientClosed || o.Queued < 5*time.Second || string(o.Refused) != "" {
			t.Errorf("outcome %+v", o)
		}
		r.wantPage(first())
		if n := len(r.peer.Requests()); n != 1 {
			t.Errorf("the application was sent %d requests, want 1", n)
		}
	})
}

// Who is parked when the bridge closes is told so.
func TestCloseEndsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 2}, SiteConfig: SiteConfig{LongPoll: []string{"/poll"}, PollAnswer: PollAnswer{Status: 200}}}, slowly(10*time.Second))
		first := r.start("GET", "/poll", nil)
		parked := r.start("GET", "/poll", nil)
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			r.b.Close()
		}()
		r.wantError(parked(), 503, errUnavailable)
		r.wantPage(first())
		<-closed
	})
}

// A long request that was parked for longer than a short one may wait has that time
// for its connection all the same.
func TestParkedRequestMayWaitForItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Once(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.HoldFor(8 * time.Second)
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		}))
		dials := 0
		r := startRig(t, Config{
			ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 1},
			SiteConfig:        SiteConfig{LongPoll: []string{"/poll"}},
			ApplicationHooks: ApplicationHooks{
				dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
					if dials++; dials == 1 {
						return peer.Dial(ctx)
					}
					return nil, &net.OpError{Op: "dial", Err: syscall.EAGAIN} // the backlog stays full
				},
			},
		})
		first := r.start("GET", "/poll", nil)
		second := r.start("GET", "/poll", nil)
		r.wantPage(first())
		re := second()
		r.wantError(re, 503, errLimit)
		if re.after != 11*time.Second {
			t.Errorf("refused after %v, want 8s for a worker and 3s for a connection", re.after)
		}
	})
}

// An answer that turns out to be an event stream makes its request a long one, at once.
func TestEventStreamIsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 4}}, fcgitest.Ticks(5, 100*time.Millisecond))
		done := r.start("GET", "/events", nil)
		if s := r.gate(); s.Long != 1 || s.InUse != 1 {
			t.Errorf("%d of %d slots are long, want 1 of 1", s.Long, s.InUse)
		}
		if re := done(); re.err != nil || re.after != 500*time.Millisecond {
			t.Errorf("%+v", re)
		}
		if routes := r.gate().Routes; len(routes) == 0 || routes[0].Route != "GET any /events" || routes[0].Long != 1 {
			t.Errorf("routes %+v, want one that was long", routes)
		}
	})
}

// Another answer in pieces does not.
func TestSlowBodyIsShortUntilItAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 4}}, fcgitest.SlowBody(3, 400*time.Millisecond))
		done := r.start("GET", "/slow", nil)
		time.Sleep(900 * time.Millisecond)
		if s := r.gate(); s.Long != 0 {
			t.Errorf("%d long after 900ms", s.Long)
		}
		time.Sleep(200 * time.Millisecond)
		if s := r.gate(); s.Long != 1 {
			t.Errorf("%d long after 1.1s, want 1", s.Long)
		}
		done()
	})
}

// One session's slow requests hold up nobody else's.
func TestTwoFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0 // of the session
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 8, ClientLimit: 2}, SiteConfig: SiteConfig{Client: ClientConfig{Key: "cookie sid"}}}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			if q.Param("HTTP_COOKIE") == "sid=greedy" {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				s.HoldFor(500 * time.Millisecond)
				mu.Lock()
				running--
				mu.Unlock()
			}
			s.HoldFor(10 * time.Millisecond)
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		}))
		for range 10 {
			r.wantPage(r.ask("GET", "/page", "Cookie", "sid=polite")) // the route is known from here on
		}
		var greedy []func() reply
		for range 6 {
			greedy = append(greedy, r.startAsking("GET", "/page", "Cookie", "sid=greedy"))
		}
		if s := r.gate(); s.InUse != 2 || s.Waiting != 4 {
			t.Errorf("%d in use, %d wait, want 2, 4", s.InUse, s.Waiting)
		}
		for range 10 {
			if re := r.ask("GET", "/page", "Cookie", "sid=polite"); re.after > 20*time.Millisecond {
				t.Errorf("another one's page took %v", re.after)
			}
		}
		for _, g := range greedy {
			r.wantPage(g())
		}
		if most != 2 {
			t.Errorf("%d of one session's requests at once, want 2", most)
		}
	})
}

// A local redirect asks for something else, with a ticket of its own.
func TestLocalRedirectHasItsOwnLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 1}, SiteConfig: SiteConfig{LongPoll: []string{"/poll"}}}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			if q.Param("REQUEST_URI") == "/start" {
				s.Send(fcgitest.Out(q.ID, "Location: /poll\n\n"), fcgitest.End(q.ID))
				return
			}
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		}))
		r.wantPage(r.get("/start"))
		if o := r.outcome(); o.Lane != "long" {
			t.Errorf("lane %q at the end, want long", o.Lane)
		}
		if s := r.gate(); s.Lanes["unknown"].Started != 1 || s.Lanes["long"].Started != 1 {
			t.Errorf("%+v", s.Lanes)
		}
	})
}

// snapshotText is what the status listener shows.
func (r *rig) snapshotText() string {
	r.t.Helper()
	synctest.Wait()
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r.b.Snapshot()); err != nil {
		r.t.Error(err)
	}
	return text.String()
}

// What the gate is told of a request.
func TestDescription(t *testing.T) {
	b, err := New(t.Context(), Config{ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/run/app.sock"}}, SiteConfig: SiteConfig{Mount: "/trac/", LongPoll: []string{"/trac/*/poll", "/events"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for target, want := range map[string]admission.Request{
		"/trac/wiki/Start?a=1": {Route: "POST html /trac/wiki/Start?a", Group: "POST html /trac/wiki", Path: "/trac/wiki/Start"},
		"/trac/wiki/4711":      {Route: "POST html /trac/wiki/*", Group: "POST html /trac/wiki", Path: "/trac/wiki/*"},
		"/trac/events":         {Route: "POST html /trac/events", Group: "POST html /trac/", Path: "/trac/events", Long: true},
		"/trac/wiki/poll":      {Route: "POST html /trac/wiki/poll", Group: "POST html /trac/wiki", Path: "/trac/wiki/poll", Long: true},
	} {
		ask := asks(b, requestFor(t, "POST", target, "Accept", acceptOfPage))
		want.Method, want.ClientKey, want.Shared = "POST", ask.Address, true
		want.Address = want.ClientKey
		if ask != want || ask.Address == 0 {
			t.Errorf("%s: %+v, want %+v", target, ask, want)
		}
	}
}

// The gate gives out no more slots than the application was seen to hold.
func TestGateFollowsTheCapacity(t *testing.T) {
	for _, lanes := range []Switch{On, Off} {
		t.Run(string(lanes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: lanes, Workers: 8}}, fcgitest.Threads(3, time.Millisecond, pageAfter(300*time.Millisecond)))
				for range 10 {
					r.wantPage(r.get("/"))
				}
				var all []func() reply
				for range 6 {
					all = append(all, r.start("GET", "/", nil))
				}
				time.Sleep(100 * time.Millisecond)
				if s := r.gate(); s.Capacity != 3 || s.Workers != 8 {
					t.Errorf("capacity %d of %d workers, want 3 of 8", s.Capacity, s.Workers)
				}
				for _, a := range all {
					r.wantPage(a())
				}
			})
		})
	}
}

// asks is what the gate is told of a request to h.
func asks(h *Handler, r *http.Request) (ask admission.Request) {
	var c cgi.Client
	h.identify(r, &c)
	h.serves.Classifier.Client(&ask, r, &c)
	h.serves.Classifier.Request(&ask, r, nil)
	return ask
}
