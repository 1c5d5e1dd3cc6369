package pool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// autoPool has it found out whether connections to peer can be kept. What the peer has not
// read can be seen.
func autoPool(t testing.TB, peer *fcgitest.Peer, workers int) *Pool {
	t.Helper()
	return newPool(t, autoConfig(workers, visible(peer)))
}

func autoConfig(workers int, instances ...Instance) Config {
	return Config{Instances: instances, Workers: workers, ClosesWhenFull: true, KeepAlive: KeepAuto, WaitTimeout: time.Minute}
}

// visible is an instance of which it can be seen what it has not read.
func visible(peer *fcgitest.Peer) Instance {
	return Instance{Addr: "app", Dial: peer.Dial, Unread: func(nc net.Conn) Unread { return fcgitest.UnreadOf(nc) }}
}

// page answers Page.
func page(s *fcgitest.Session, r *fcgitest.Request) {
	s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
}

// libfcgi replies to queries as libfcgi does.
func libfcgi(peer *fcgitest.Peer) *fcgitest.Peer {
	peer.Values(fcgitest.ValuesLibfcgi)
	return peer
}

// took is how long a request takes to be answered.
func took(t testing.TB, p *Pool) time.Duration {
	t.Helper()
	begun := time.Now()
	serve(t, p)
	return time.Since(begun)
}

// serveSome has so many requests answered, one after the other, and what follows from each
// done.
func serveSome(t testing.TB, p *Pool, n int) {
	t.Helper()
	for range n {
		serve(t, p)
		synctest.Wait()
	}
}

func wantKeepAlive(t testing.TB, p *Pool, want, why string) {
	t.Helper()
	synctest.Wait()
	in := p.Snapshot().Instances[0]
	if in.KeepAlive != want || !strings.Contains(in.KeepAliveWhy, why) || why == "" && in.KeepAliveWhy != "" {
		t.Errorf("keep-alive is %s (%s), want %s (%s)", in.KeepAlive, in.KeepAliveWhy, want, why)
	}
}

// The replies on the first connection that may be kept say whether connections are kept, or
// that a trial decides.
func TestKeepAliveByAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		script fcgitest.Script
		values func(*fcgitest.Session, []string)
		blind  bool // what it has not read cannot be seen
		keep   string
		why    string
		after  time.Duration // the first answer
		left   counts
	}{
		"PHP":                   {script: fcgitest.Hello, values: fcgitest.ValuesPHP, keep: "on", left: counts{idle: 1}},
		"flup":                  {script: fcgitest.Hello, values: fcgitest.ValuesEmpty, keep: "on", left: counts{idle: 1}},
		"no more is said":       {script: fcgitest.Hello, values: fcgitest.ValuesNo, keep: "on", left: counts{idle: 1}},
		"Go":                    {script: fcgitest.MuxPage, values: fcgitest.ValuesYes, keep: "on", left: counts{idle: 1}}, // its answer has a second part
		"libfcgi":               {script: fcgitest.Hello, values: fcgitest.ValuesLibfcgi, keep: "unknown", left: counts{idle: 1}},
		"it reads and is mute":  {script: fcgitest.Hello, values: fcgitest.ValuesSilent, keep: "on", after: keptQueryTimeout + 10*time.Millisecond, left: counts{idle: 1}},
		"it is mute":            {script: fcgitest.Hello, values: fcgitest.ValuesSilent, blind: true, keep: "off", why: "was not read", after: keptQueryTimeout + 10*time.Millisecond},
		"it never reads":        {script: fcgitest.First(fcgitest.Page, (*fcgitest.Session).Hold), keep: "off", why: "was not read", after: keptQueryTimeout + 10*time.Millisecond},
		"it answers too late":   {script: fcgitest.Hello, values: fcgitest.ValuesLate(time.Second), keep: "on", after: keptQueryTimeout + 10*time.Millisecond, left: counts{idle: 1}},
		"it closes when asked":  {script: fcgitest.Hello, values: fcgitest.ValuesDrop, keep: "unknown", after: 10 * time.Millisecond},
		"it closes in any case": {script: fcgitest.CloseAfterEnd, keep: "unknown", after: 10 * time.Millisecond},
	} {
		inBubble(t, name, func(t *testing.T) {
			peer := fcgitest.Start(t, tc.script)
			if tc.values != nil {
				peer.Values(tc.values)
			}
			in := visible(peer)
			if tc.blind {
				in.Unread = nil
			}
			p := newPool(t, autoConfig(4, in))
			wantKeepAlive(t, p, "unknown", "")
			equal(t, "the first request took", took(t, p), 0)
			time.Sleep(tc.after)
			wantKeepAlive(t, p, tc.keep, tc.why)
			wantCounts(t, p, tc.left)
			if d := took(t, p); d != 0 && name != "it answers too late" { // which holds up what follows
				t.Errorf("the second request took %v", d)
			}
		})
	}
}

// Processes of libfcgi, such as Perl's, are tried out with a second connection, and take
// kept ones. No request waits for that.
func TestProcessesOfLibfcgiAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := autoPool(t, libfcgi(fcgitest.Start(t, fcgitest.Processes(4, page))), 4)
		for i, left := range []counts{{idle: 1}, {idle: 2}, {idle: 2}, {idle: 2}} {
			if d := took(t, p); d != 0 {
				t.Errorf("request %d took %v", i+1, d)
			}
			wantCounts(t, p, left) // when all is done
		}
		wantKeepAlive(t, p, "on", "")
		if in := p.Snapshot().Instances[0]; in.Dials != 2 || in.Reuses != 2 || in.ShedIdle != 0 {
			t.Errorf("%+v", in)
		}
	})
}

// Threads of libfcgi that take turns at accepting stop while one of them waits on a kept
// connection: one request waits for that to be found out, and connections carry one
// request from then on.
func TestLockAroundAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := libfcgi(fcgitest.Start(t, fcgitest.AcceptLock(page)))
		p := autoPool(t, peer, 8)
		for i, want := range []time.Duration{0, trialTimeout, 0, 0} {
			if d := took(t, p); d != want {
				t.Errorf("request %d took %v, want %v", i+1, d, want)
			}
			synctest.Wait()
		}
		wantKeepAlive(t, p, "off", "was not answered while one was kept")
		wantCounts(t, p, counts{})
		for i, r := range peer.Requests() {
			if keep := r.Flags&fcgitest.KeepConn != 0; keep != (i < 1) {
				t.Errorf("request %d asks to keep its connection: %v", i+1, keep)
			}
		}
	})
}

// Requests that come together while it is found out wait no longer for that than one: also if
// there is no room for the connection that would decide, because those before it are not closed
// by threads that the kept one stops.
func TestLockAroundAcceptUnderLoad(t *testing.T) {
	for name, delay := range map[string]time.Duration{"at once": 0, "closed by both sides": 10 * time.Millisecond} {
		for workers := range 8 {
			inBubble(t, fmt.Sprintf("%s, %d workers", name, workers+2), func(t *testing.T) {
				cfg := autoConfig(workers+2, visible(libfcgi(fcgitest.Start(t, fcgitest.AcceptLock(page)))))
				cfg.CloseDelay = delay
				p := newPool(t, cfg)
				for range 5 {
					var all []<-chan time.Duration
					for range 20 {
						all = append(all, started(t, p, Demand{}, 0))
					}
					for _, one := range all {
						if d := <-one; d > trialTimeout+keptQueryTimeout+time.Second/10 {
							t.Errorf("a request took %v", d)
						}
					}
				}
				serveSome(t, p, 3) // with few workers it may not have been decided: there was no room to try it out
				wantKeepAlive(t, p, "off", "new connection")
			})
		}
	}
}

// The threads that are to close the other connections are stopped by the one that is kept, and there
// is no room for the connection that would decide: a request waits no longer than for that one.
func TestKeptConnectionStopsCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first atomic.Bool
		ended := make(chan struct{}) // the first connection, which is kept
		peer := libfcgi(fcgitest.Start(t, func(s *fcgitest.Session) {
			if first.CompareAndSwap(false, true) {
				defer close(ended)
				fcgitest.Hello(s)
				return
			}
			page(s, s.Request())
			<-ended
		}))
		cfg := autoConfig(4, visible(peer))
		cfg.CloseDelay = 10 * time.Millisecond
		p := newPool(t, cfg)
		leases := []*Lease{mustLease(t, p)}
		synctest.Wait()
		for _, l := range append(leases, leaseAll(t, p, 3)...) {
			finish(t, l)
			synctest.Wait()
		}
		wantCounts(t, p, counts{idle: 1, closing: 3})
		if d := took(t, p); d < trialTimeout || d > trialTimeout+2*cfg.CloseDelay {
			t.Errorf("a request took %v", d)
		}
		wantKeepAlive(t, p, "off", "no room for a new connection: the others were not closed while one was kept")
	})
}

// A refusal ends after a while: a mistake on a busy machine does not last. Each time it lasts
// longer.
func TestRefusalIsRechecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := fcgitest.First(fcgitest.Page, (*fcgitest.Session).Hold)
		p := autoPool(t, fcgitest.Start(t, hung), 4)
		for pause := refusedFor; pause < 3*refusedMax; pause *= 2 {
			serve(t, p)
			time.Sleep(keptQueryTimeout + 10*time.Millisecond)
			wantKeepAlive(t, p, "off", "was not read")
			time.Sleep(min(pause, refusedMax) - 20*time.Millisecond)
			serve(t, p)
			wantKeepAlive(t, p, "off", "was not read")
			time.Sleep(20 * time.Millisecond)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		hung := fcgitest.First(fcgitest.Page, (*fcgitest.Session).Hold)
		p := autoPool(t, libfcgi(fcgitest.Start(t, hung, fcgitest.Hello)), 4)
		serve(t, p)
		time.Sleep(keptQueryTimeout)
		wantKeepAlive(t, p, "off", "was not read")
		time.Sleep(refusedFor)
		serve(t, p)
		synctest.Wait()
		serve(t, p)
		wantKeepAlive(t, p, "on", "")
	})
}

// Where connections are taken and later found to stop others, again and again, that is
// found out ever more rarely.
func TestRefusalsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := startForked(t, 2)
		libfcgi(app.Peer)
		in := visible(app.Peer)
		in.Queue = app.queue
		p := newPool(t, autoConfig(8, in))
		waited := 0
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(300 * time.Millisecond) {
			var all []<-chan time.Duration
			for range 3 {
				all = append(all, started(t, p, Demand{}, 20*time.Millisecond))
			}
			for _, one := range all {
				if d := <-one; d > 100*time.Millisecond {
					waited++
				}
			}
		}
		if waited > 20 {
			t.Errorf("%d requests waited in ten minutes", waited)
		}
	})
}

// With one worker nothing can be tried out beside a kept connection.
func TestOneWorkerOfLibfcgi(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := autoPool(t, libfcgi(fcgitest.Start(t, fcgitest.Processes(1, page))), 1)
		for range 3 {
			if d := took(t, p); d > 10*time.Millisecond {
				t.Errorf("a request took %v", d)
			}
			synctest.Wait()
		}
		wantKeepAlive(t, p, "off", "with one worker it cannot be tried out")
	})
}

// An application that is replaced by one of the other kind is found out, too, however
// much was kept.
func TestReplacedByTheOtherKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := libfcgi(fcgitest.Start(t, fcgitest.Processes(4, page))), libfcgi(fcgitest.Start(t, fcgitest.AcceptLock(page)))
		now := good
		in := visible(good)
		in.Dial = func(ctx context.Context) (net.Conn, error) { return now.Dial(ctx) }
		p := newPool(t, autoConfig(4, in))
		serveSome(t, p, 3)
		wantKeepAlive(t, p, "on", "")
		wantCounts(t, p, counts{idle: 2})
		now = bad
		good.Close()
		l := mustLease(t, p)
		if _, err := converse(l); err == nil { // in memory the end of a connection cannot be seen before
			t.Error("answered by one that has gone")
		}
		l.Release()
		wantKeepAlive(t, p, "unknown", "")
		demand := Demand{Fresh: true} // as after a failure
		for i, want := range []time.Duration{0, trialTimeout, 0, 0} {
			if d := visit(t, p, demand, 0); d < want || d > want+20*time.Millisecond {
				t.Errorf("request %d took %v, want %v", i+1, d, want)
			}
			synctest.Wait()
		}
		wantKeepAlive(t, p, "off", "was not answered while one was kept")
	})
	// Nothing of the first is left when the other comes.
	synctest.Test(t, func(t *testing.T) {
		good, bad := libfcgi(fcgitest.Start(t, fcgitest.Processes(4, page))), fcgitest.Start(t, fcgitest.First(fcgitest.Page, (*fcgitest.Session).Hold))
		now := good
		in := visible(good)
		in.Dial = func(ctx context.Context) (net.Conn, error) { return now.Dial(ctx) }
		p := newPool(t, autoConfig(4, in))
		serveSome(t, p, 3)
		time.Sleep(6 * time.Second)
		wantCounts(t, p, counts{})
		now = bad
		for range 4 {
			if d := took(t, p); d > 10*time.Millisecond {
				t.Errorf("a request took %v", d)
			}
		}
		time.Sleep(keptQueryTimeout)
		wantKeepAlive(t, p, "off", "was not read")
	})
}

// Each instance is what it is.
func TestKeepAliveOfEachInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := visible(libfcgi(fcgitest.Start(t, fcgitest.Processes(4, page)))), visible(libfcgi(fcgitest.Start(t, fcgitest.AcceptLock(page))))
		good.Addr, bad.Addr = "good", "bad"
		p := newPool(t, autoConfig(4, good, bad))
		for range 8 {
			if d := took(t, p); d > trialTimeout {
				t.Errorf("a request took %v", d)
			}
			synctest.Wait()
		}
		for i, want := range []string{"on", "off"} {
			if in := p.Snapshot().Instances[i]; in.KeepAlive != want {
				t.Errorf("%s: %s (%s), want %s", in.Addr, in.KeepAlive, in.KeepAliveWhy, want)
			}
		}
		if err := p.Add(good); err == nil {
			t.Error("an instance is there twice")
		}
		p.Remove("bad")
		mustAdd(t, p, bad)
		if in := p.Snapshot().Instances[1]; in.Addr != "bad" || in.KeepAlive != "unknown" {
			t.Errorf("one that has come is not a new one: %+v", in)
		}
	})
}

// Where kept connections were taken, and later stop others, that is seen: by the accept
// queue where it can be seen, else by what happens when the unused ones are closed.
func TestKeptConnectionsStopOthers(t *testing.T) {
	for name, sees := range map[string]bool{"seen": true, "not seen": false} {
		inBubble(t, name, func(t *testing.T) {
			app := startForked(t, 2)
			libfcgi(app.Peer)
			in := visible(app.Peer)
			if sees {
				in.Queue = app.queue
			}
			p := newPool(t, autoConfig(8, in))
			serveSome(t, p, 3)
			wantKeepAlive(t, p, "on", "")
			first, second := started(t, p, Demand{}, 100*time.Millisecond), started(t, p, Demand{}, 100*time.Millisecond)
			synctest.Wait()
			third := started(t, p, Demand{}, 0)
			<-first
			<-second
			if d := <-third; d > 2*queueCheckEvery+10*time.Millisecond {
				t.Errorf("a request that needed a third connection took %v", d)
			}
			wantKeepAlive(t, p, "off", "new connections")
			wantCounts(t, p, counts{})
			if n := p.Snapshot().Instances[0].ShedIdle; n == 0 || n > 2 {
				t.Errorf("%d connections were given up, want 1 or 2", n)
			}
		})
	}
}

// One that takes its time on a new connection is not taken for one that waits to be
// accepted, and does not have connections closed all the time.
func TestSlowIsNotStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := startForked(t, 8)
		libfcgi(app.Peer)
		p := newPool(t, autoConfig(8, visible(app.Peer)))
		serveSome(t, p, 3)
		busy := []<-chan time.Duration{started(t, p, Demand{}, 10*time.Millisecond), started(t, p, Demand{}, 10*time.Millisecond)}
		synctest.Wait()
		slow := started(t, p, Demand{}, time.Minute)
		<-busy[0]
		<-busy[1]
		for range 300 {
			time.Sleep(100 * time.Millisecond)
			serve(t, p)
		}
		<-slow
		wantKeepAlive(t, p, "on", "")
		if n := p.Snapshot().Instances[0].ShedIdle; n == 0 || n > 12 {
			t.Errorf("%d connections were given up in half a minute", n)
		}
	})
}

// What ends while it is found out changes nothing for others, and leaves nothing.
func TestEndsWhileKeepAliveIsFoundOut(t *testing.T) {
	for name, end := range map[string]func(p *Pool, peer *fcgitest.Peer){
		"closed":        func(p *Pool, _ *fcgitest.Peer) { p.Close() },
		"drained":       func(p *Pool, _ *fcgitest.Peer) { p.Drain("app") },
		"removed":       func(p *Pool, _ *fcgitest.Peer) { p.Remove("app") },
		"it has gone":   func(_ *Pool, peer *fcgitest.Peer) { peer.Close() },
		"fewer workers": func(p *Pool, _ *fcgitest.Peer) { _ = p.Configure(autoConfig(1)) },
		"not any more": func(p *Pool, _ *fcgitest.Peer) {
			_ = p.Configure(Config{Workers: 2, ClosesWhenFull: true, KeepAlive: KeepOff})
		},
		"in any case":    func(p *Pool, _ *fcgitest.Peer) { _ = p.Configure(Config{Workers: 2, ClosesWhenFull: true}) },
		"room is needed": func(p *Pool, _ *fcgitest.Peer) { _, _ = p.Lease(context.Background(), Demand{Fresh: true}) },
	} {
		inBubble(t, name, func(t *testing.T) {
			for _, script := range []fcgitest.Script{
				fcgitest.Processes(2, page),                             // a trial
				fcgitest.First(fcgitest.Page, (*fcgitest.Session).Hold), // an inquiry
			} {
				peer := libfcgi(fcgitest.Start(t, script))
				p := newPool(t, autoConfig(2, visible(peer)))
				serve(t, p)
				synctest.Wait()
				if name == "room is needed" {
					l := leaseFor(t, p, Demand{Fresh: true})
					defer l.Release()
				}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				go func() {
					time.Sleep(time.Second)
					cancel()
				}()
				if name == "room is needed" {
					l, err := p.Lease(ctx, Demand{Fresh: true})
					if err != nil {
						t.Fatal(err)
					}
					defer l.Release()
				} else {
					begun := time.Now()
					end(p, peer)
					if name == "drained" {
						<-p.Drain("app")
					}
					if d := time.Since(begun); d > 20*time.Millisecond {
						t.Errorf("it took %v", d)
					}
				}
				time.Sleep(2 * time.Second)
				for _, in := range p.Snapshot().Instances {
					kept := name == "in any case" || name == "fewer workers" || name == "it has gone" // which cannot be seen in memory
					if in.Idle+in.Closing+in.Dialing > 0 && !kept {
						t.Errorf("%+v", in)
					}
				}
			}
		})
	}
}

// An application that closes its connections after queries keeps them without.
func TestClosesWhenQueried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.Hello)
		peer.Values(fcgitest.ValuesDrop)
		p := autoPool(t, peer, 4)
		for range 10 {
			equal(t, "a request took", took(t, p), 0)
			time.Sleep(time.Second)
		}
		wantKeepAlive(t, p, "on", "")
		if in := p.Snapshot().Instances[0]; in.Dials > 5 {
			t.Errorf("%+v", in)
		}
	})
}

// What is known of an instance that cannot be connected to is forgotten.
func TestGoneIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := fcgitest.Start(t, fcgitest.First(fcgitest.Page, (*fcgitest.Session).Hold))
		in := visible(peer)
		var broken error
		in.Dial = func(ctx context.Context) (net.Conn, error) {
			if broken != nil {
				return nil, broken
			}
			return peer.Dial(ctx)
		}
		p := newPool(t, autoConfig(4, in))
		serve(t, p)
		time.Sleep(keptQueryTimeout)
		wantKeepAlive(t, p, "off", "was not read")
		broken = errors.New("no route to host")
		if _, err := p.Lease(context.Background(), Demand{}); err == nil {
			t.Fatal("connected")
		}
		wantKeepAlive(t, p, "unknown", "")
	})
}
