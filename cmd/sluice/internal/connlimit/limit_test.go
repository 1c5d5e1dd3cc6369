package connlimit

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const (
	hog  = "192.0.2.1"
	good = "192.0.2.2"
)

// The one without a request for longest goes, be it that it never had one.
func TestIdleGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 3, MaxWaiting: 1})
		kept, silent, busy := b.come("192.0.2.1"), b.come("192.0.2.2"), b.come("192.0.2.3")
		b.l.Track(busy, http.StateActive)
		b.l.Track(kept, http.StateActive)
		b.l.Track(kept, http.StateIdle)
		time.Sleep(requestGrace)
		first := b.come("192.0.2.4")
		b.want("the silent one", silent, true, true)
		b.want("the newcomer", first, true, false)
		b.l.Track(silent, http.StateClosed) // the server notices
		second := b.come("192.0.2.5")
		b.want("the kept one", kept, true, true)
		b.want("the second newcomer", second, true, false)
		b.want("the busy one", busy, true, false)
		if s := b.l.Snapshot(); s.Open != 3 || s.Idle != 2 || s.ClosedIdle != 2 || s.Clients != 3 || s.MostOfOne != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// Of a client that has more than its share, its own connections make room, before
// those that others have had for longer.
func TestHogsIdleGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 100, MaxWaiting: 10})
		kept := b.crowd(good, 5, false)
		mine := b.crowd(hog, 95, false)
		for i := range 95 - 16 {
			b.want("a newcomer", b.come(fmt.Sprintf("198.51.100.%d", i%40)), true, false)
		}
		for _, c := range kept {
			b.want("the others' kept one", c, true, false)
		}
		left := 0
		for _, c := range mine {
			if !c.isClosed() {
				left++
			}
		}
		if left != 16 {
			t.Errorf("the hog has %d left, want its share", left)
		}
	})
}

// All carry requests. One of a client that has far too many is cut, the oldest;
// nothing is as long as nobody has.
func TestHogsRequestsGoLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 100, MaxWaiting: 10})
		mine := b.crowd(hog, 100, true)
		b.want("a newcomer", b.come(good), true, false)
		b.want("the hog's oldest", mine[0], true, true)
		b.want("the hog's next", mine[1], true, false)
		another := b.come(hog)
		b.want("another of the hog's", another, false, false)
		b.l.Track(mine[1], http.StateClosed)
		b.want("the same when there is room", another, true, false)
		if s := b.l.Snapshot(); s.CutActive != 1 || s.ClosedIdle != 0 || s.Open != 100 || s.MostOfOne != 99 {
			t.Errorf("%+v", s)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 100, MaxWaiting: 10})
		for _, addr := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"} {
			b.crowd(addr, 25, true)
		}
		c := b.come("192.0.2.5")
		b.want("a newcomer", c, false, false)
		if s := b.l.Snapshot(); s.CutActive != 0 || s.Waiting != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A proxy that speaks for many has no share to exceed.
func TestExempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 100, MaxWaiting: 10, Exempt: func(a netip.Addr) bool { return a == netip.MustParseAddr(hog) }})
		kept := b.come(good)
		idle := b.come(hog)
		proxys := b.crowd(hog, 98, true)
		time.Sleep(requestGrace)
		first, second := b.come("192.0.2.3"), b.come("192.0.2.4")
		b.want("who was idle for longest", kept, true, true)
		b.want("the proxy's idle one", idle, true, true)
		b.l.Track(first, http.StateActive)
		b.l.Track(second, http.StateActive)
		waiting := b.come("192.0.2.5")
		b.want("a third newcomer", waiting, false, false)
		for _, c := range proxys {
			b.want("the proxy's", c, true, false)
		}
	})
}

// Of those that wait, the oldest of the client with most of them goes.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 4, MaxWaiting: 3})
		in := []*conn{}
		for _, addr := range []string{"192.0.2.5", "192.0.2.6", "192.0.2.7", "192.0.2.8"} {
			in = append(in, b.crowd(addr, 1, true)...)
		}
		one := b.come(good)
		mine := b.crowd(hog, 4, false)
		b.want("the hog's first", mine[0], false, true)
		b.want("the hog's second", mine[1], false, true)
		b.want("the other", one, false, false)
		b.l.Track(in[0], http.StateClosed)
		b.want("the first that waited", one, true, false)
		b.l.Track(in[1], http.StateHijacked)
		b.want("the hog's third", mine[2], true, false)
		if s := b.l.Snapshot(); s.Refused != 2 || s.Waiting != 1 || s.Open != 4 {
			t.Errorf("%+v", s)
		}
		b.ln.Close()
		b.want("who waits when the door is shut", mine[3], false, true)
	})
}

// A line at first, and another in ten seconds, whatever happens.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 1, MaxWaiting: 1})
		b.come(hog)
		for range 1000 {
			time.Sleep(requestGrace / 100)
			b.come(hog)
		}
		if text := b.log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "last_client="+hog) || !strings.Contains(text, "max_connections=1 ") {
			t.Errorf("the log has\n%s\nwant one line with the client", text)
		}
		time.Sleep(reportPause)
		b.come(hog)
		b.come(hog)
		if text := b.log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "closed_without_request=1") || !strings.Contains(text, "refused=9") {
			t.Errorf("the log has\n%s\nwant a second line with how many", text)
		}
	})
}

// A burst of one client, whose requests are on their way: nobody's connection is closed,
// and who does not fit comes in when somebody has been idle for a while.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 20, MaxWaiting: 2})
		in := b.crowd(hog, 20, false)
		late := b.crowd(hog, 2, false)
		time.Sleep(requestGrace / 2)
		for i, c := range append(in, late...) {
			b.want("one of the burst", c, i < 20, false)
		}
		for _, c := range in {
			b.l.Track(c, http.StateActive)
			b.l.Track(c, http.StateIdle)
		}
		time.Sleep(requestGrace - time.Millisecond)
		b.want("who waits", late[0], false, false)
		time.Sleep(2 * time.Millisecond)
		b.want("the oldest", in[0], true, true)
		b.want("who waited", late[0], true, false)
		b.want("who waited, too", late[1], true, false)
	})
}

// For another client's sake, those of one with too many go at once.
func TestNoGraceForHogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 20, MaxWaiting: 2})
		mine := b.crowd(hog, 20, false)
		b.want("a newcomer", b.come(good), true, false)
		b.want("the hog's oldest", mine[0], true, true)
	})
}

// Without descriptors an idle connection is closed, and accepting goes on.
func TestOutOfFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 10, MaxWaiting: 1})
		kept := b.come(good)
		begun := time.Now()
		for range 50 {
			b.door.comes <- &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
		}
		if d := time.Since(begun); d < 5*time.Second || d > 20*time.Second {
			t.Errorf("50 failures took %v", d)
		}
		b.want("the idle one", kept, true, true)
		b.want("a newcomer", b.come(hog), true, false)
		if n := strings.Count(b.log.String(), "\n"); n < 1 || n > 2 {
			t.Errorf("the log has\n%s", b.log)
		}
		b.door.comes <- io.ErrUnexpectedEOF // an error that no waiting cures
		b.ended.Wait()
	})
}

// Clients of every kind come and go at random. The books are right at any time.
func TestAtRandom(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			b := newBench(t, Config{Max: 1 + rnd.IntN(60), MaxWaiting: rnd.IntN(10), Exempt: func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.9") }})
			all := []*conn{}
			for range 3000 {
				if rnd.IntN(3) == 0 || len(all) == 0 {
					all = append(all, b.come([]string{hog, hog, hog, good, "192.0.2.9", "2001:db8::1", "2001:db8::2", "unix", fmt.Sprintf("198.51.100.%d", rnd.IntN(200))}[rnd.IntN(9)]))
				} else {
					c := all[rnd.IntN(len(all))]
					if b.wasGiven(c) { // else the server does not know it
						b.l.Track(c, []http.ConnState{http.StateActive, http.StateActive, http.StateIdle, http.StateClosed, http.StateHijacked}[rnd.IntN(5)])
					}
					synctest.Wait()
				}
				if rnd.IntN(50) == 0 {
					time.Sleep(time.Duration(rnd.IntN(int(2 * requestGrace))))
					synctest.Wait()
				}
				b.check(all)
			}
		})
	}
}

// check compares the books with what there is.
func (b *bench) check(all []*conn) {
	b.t.Helper()
	l := b.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) > l.config.Max || l.numWaiting > l.config.MaxWaiting || l.numWaiting > 0 && len(l.entries) < l.config.Max {
		b.t.Fatalf("%d of %d open, %d of %d wait", len(l.entries), l.config.Max, l.numWaiting, l.config.MaxWaiting)
	}
	conns, idles, waiting := map[*client]int{}, 0, 0
	for _, e := range l.entries {
		conns[e.client]++
		if e.state == stateIdle {
			idles++
		}
		if e.conn.(*conn).isClosed() {
			b.t.Fatal("one that was closed has a place")
		}
	}
	ranked := 0
	for addr, c := range l.clients.byAddr {
		if c.addr != addr || c.conns != conns[c] || c.conns+c.numWaiting == 0 || (c.heapIndex >= 0) == c.exempt {
			b.t.Fatalf("client %+v has %d", c, conns[c])
		}
		waiting += c.numWaiting
		if c.heapIndex >= 0 {
			ranked++
			if l.clients.most[c.heapIndex] != c || c.conns > l.clients.most.first().conns {
				b.t.Fatalf("%s is at the wrong place", c.name())
			}
		}
	}
	if idles != l.numIdle || waiting != l.numWaiting || ranked != len(l.clients.most) {
		b.t.Fatalf("%d idle, %d waiting, %d ranked; the books have %d, %d, %d", idles, waiting, ranked, l.numIdle, l.numWaiting, len(l.clients.most))
	}
	open := 0
	for _, c := range all {
		if !c.isClosed() {
			open++
		}
	}
	if known := len(l.entries) + l.numWaiting; open < known {
		b.t.Fatalf("%d open, %d known", open, known)
	}
}
