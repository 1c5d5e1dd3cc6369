package pool

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// Requests in the accept queue of a socket on which nobody accepts fail at once, as requests
// that were never read.
func TestFail(t *testing.T) {
	for _, m := range []Multiplex{MultiplexOff, MultiplexAuto, MultiplexOn} {
		synctest.Test(t, func(t *testing.T) {
			ln := fcgitest.Listen(128)
			defer ln.Close()
			p := newPool(t, Config{Workers: 4, Instances: []Instance{{Addr: "a", Dial: ln.Dial}}, Multiplex: m})
			one := startConverse(startLeasing(p, whole).mustLease(t))
			two := startConverse(startLeasing(p, whole).mustLease(t))
			time.Sleep(time.Second)
			p.Fail("b")
			p.Fail("a")
			wantFailure(t, one, ErrNotAccepted, ReplaySafe)
			wantFailure(t, two, ErrNotAccepted, ReplaySafe)
			wantCounts(t, p, counts{})
			wantStates(t, p, "a up")

			next := startConverse(mustLease(t, p)) // it is not remembered
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for { // those that were given up wait there, too
				if n, _ := io.ReadFull(c, make([]byte, len(request))); n == 0 {
					t.Error("nothing was sent")
				}
				if _, err := c.Write(fcgitest.Good(1)); err == nil {
					break
				}
				if c, err = ln.Accept(); err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			if got := <-next; got.err != nil {
				t.Errorf("the next request: %v", got.err)
			}
		})
	}
}

// What the application has accepted ends when its process does, and not before.
func TestFailSparesWhatWasAccepted(t *testing.T) {
	for name, script := range map[string]fcgitest.Script{
		"the answer has begun": fcgitest.Each(func(s *fcgitest.Session, r *fcgitest.Request) {
			s.Send(fcgitest.Out(r.ID, "Content-"))
			s.HoldFor(time.Second)
			s.Send(fcgitest.Out(r.ID, "Type: text/plain\n\nlate"), fcgitest.End(r.ID))
		}),
		"it has answered before":                fcgitest.First(fcgitest.Page, fcgitest.AnswerAfter(time.Second, "Content-Type: text/plain\n\nlate")),
		"it has answered a query":               fcgitest.AnswerAfter(time.Second, "Content-Type: text/plain\n\nlate"),
		"it has answered a query and is shared": fcgitest.MuxAfter(time.Second, "Content-Type: text/plain\n\nlate"),
		"it is shared": fcgitest.Multiplexed(func(s *fcgitest.Session, r *fcgitest.Request) {
			s.Send(fcgitest.Out(r.ID, "Content-"))
			s.HoldFor(time.Second)
			s.Send(fcgitest.Out(r.ID, "Type: text/plain\n\nlate"), fcgitest.End(r.ID))
		}),
	} {
		inBubble(t, name, func(t *testing.T) {
			peer := fcgitest.Start(t, script)
			peer.Values(fcgitest.ValuesNo)
			cfg := Config{Workers: 2, Instances: []Instance{instanceOf("a", peer)}, ClosesWhenFull: strings.Contains(name, "query")}
			if strings.Contains(name, "is shared") {
				cfg.Multiplex = MultiplexOn
			}
			p := newPool(t, cfg)
			p.instances[0].observed.fullAt = time.Now() // then it is queried, if it turns away
			if name == "it has answered before" {
				serve(t, p)
			}
			c := startConverse(startLeasing(p, whole).mustLease(t))
			time.Sleep(time.Second / 2)
			if asked := len(peer.Asked()) > 0; asked != cfg.ClosesWhenFull {
				t.Fatalf("asked: %v", asked)
			}
			p.Fail("a")
			if got := <-c; got.err != nil || got.out != "Content-Type: text/plain\n\nlate" {
				t.Errorf("answer %q, %v", got.out, got.err)
			}
		})
	}
}

// An answer, or an end, that has come and was not read yet is proof that the connection
// was accepted.
func TestFailLooksTwice(t *testing.T) {
	for name, tc := range map[string]struct {
		sent []byte
		want error
	}{
		"an answer": {fcgitest.Good(1), nil},
		"an end":    {nil, io.EOF},
	} {
		for _, m := range []Multiplex{MultiplexOff, MultiplexOn} {
			t.Run(name, func(t *testing.T) {
				ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				p := newPool(t, Config{Workers: 2, Multiplex: m, Instances: []Instance{{Addr: "a", Dial: dialUnix(ln)}}})
				l := startLeasing(p, whole).mustLease(t)
				defer l.Release()
				if err := l.Write(request); err != nil {
					t.Fatal(err)
				}
				l.SendDone()
				c, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, make([]byte, len(request))); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Write(tc.sent); err != nil {
					t.Fatal(err)
				}
				c.Close()
				p.Fail("a")
				if out, err := answer(l); !errors.Is(err, tc.want) || err == nil && out != fcgitest.Page {
					t.Errorf("answer %q, %v, want %v", out, err, tc.want)
				}
			})
		}
	}
}

// Requests that wait for a connection do not wait for an instance on which nobody accepts.
func TestFailTellsWaiters(t *testing.T) {
	for name, dial := range map[string]func() func(context.Context) (net.Conn, error){
		"all connections taken": func() func(context.Context) (net.Conn, error) { return fcgitest.Listen(128).Dial },
		"dialling":              func() func(context.Context) (net.Conn, error) { return make(dialer).dial },
		"backlog full":          func() func(context.Context) (net.Conn, error) { return failingDial(syscall.EAGAIN) },
	} {
		inBubble(t, name, func(t *testing.T) {
			p := newPool(t, Config{Workers: 1, DialTimeout: time.Minute, WaitTimeout: time.Minute, Instances: []Instance{{Addr: "a", Dial: dial()}}})
			var held <-chan result
			if name == "all connections taken" {
				held = startConverse(mustLease(t, p))
			}
			g := startLease(p)
			time.Sleep(time.Second)
			p.Fail("a")
			var unavailable *UnavailableError
			if !g.ended() || !errors.As(g.err, &unavailable) || !errors.Is(g.err, ErrNotAccepted) {
				t.Fatalf("a request was told %v", g.err)
			}
			if held != nil {
				wantFailure(t, held, ErrNotAccepted, ReplaySafe)
			}
			wantCounts(t, p, counts{})
		})
	}
}

// If there is another instance, they go there.
func TestFailOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Workers: 1, DialTimeout: time.Minute, WaitTimeout: time.Minute, Instances: []Instance{{Addr: "a", Dial: make(dialer).dial}}})
		g := startLease(p)
		synctest.Wait()
		mustAdd(t, p, instanceOf("b", fcgitest.Start(t, fcgitest.Hello)))
		g.mustWait(t)
		p.Fail("a")
		if !g.ended() || g.err != nil || g.lease.Addr() != "b" {
			t.Fatalf("the request was told %v", g.err)
		}
		g.lease.Release()
		wantCounts(t, p, counts{}, counts{})
	})
}

// Over a socket, too, nothing has come while nobody accepts.
func TestFailOnASocket(t *testing.T) {
	for _, m := range []Multiplex{MultiplexOff, MultiplexOn} {
		ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		p := newPool(t, Config{Workers: 2, Multiplex: m, Instances: []Instance{{Addr: "a", Dial: dialUnix(ln)}}})
		c := startConverse(startLeasing(p, whole).mustLease(t))
		p.Fail("a")
		if got := <-c; !errors.Is(got.err, ErrNotAccepted) {
			t.Errorf("multiplex %v: %v, want ErrNotAccepted", m, got.err)
		}
	}
}

func dialUnix(ln net.Listener) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", ln.Addr().String())
	}
}
