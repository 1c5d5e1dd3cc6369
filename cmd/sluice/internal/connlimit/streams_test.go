package connlimit

import (
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// A client has half of the requests to itself, and beyond that its share; all of them together are as
// many as there may be connections.
func TestStreams(t *testing.T) {
	proxy := netip.MustParseAddr("192.0.2.9")
	s := New(Config{Max: 400, Exempt: func(a netip.Addr) bool { return a == proxy }}).Streams()
	of := func(addr string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(addr), Port: 1} }
	var ends []func()
	begin := func(addr string, most int) (n int) {
		for n < most {
			end, ok := s.Begin(of(addr))
			if !ok {
				break
			}
			ends = append(ends, end)
			n++
		}
		return n
	}
	for _, tc := range []struct {
		addr       string
		most, want int
	}{
		{"192.0.2.1", 1000, 200},
		{"2001:db8::1", 20, 20},
		{"2001:db8::2", 1000, 5}, // one network
		{"192.0.2.2", 1000, 25},
		{"192.0.2.1", 1, 0},
		{"192.0.2.9", 1000, 150},
		{"192.0.2.3", 1, 0},
	} {
		if got := begin(tc.addr, tc.most); got != tc.want {
			t.Errorf("%s has %d more, want %d", tc.addr, got, tc.want)
		}
	}
	if got := s.Snapshot(); got.Max != 400 || got.Open != 400 || got.Refused != 6 {
		t.Errorf("%+v", got)
	}
	for _, end := range ends {
		end()
	}
	if got := s.Snapshot(); got.Open != 0 || len(s.clients) != 0 {
		t.Errorf("afterwards %+v, %v", got, s.clients)
	}
}

// A connection that the server ends itself has time for that.
func TestDrainOfThoseThatEndThemselves(t *testing.T) {
	for name, itself := range map[string]bool{"it does": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, Config{Max: 10, MaxWaiting: 1})
				c := b.come(good)
				b.l.EndsItself(c)
				b.l.Track(c, http.StateActive)
				b.l.Track(c, http.StateIdle)
				time.Sleep(time.Minute)
				wait := b.drain()
				b.want("it", c, true, false)
				want := selfGrace
				if itself {
					want = time.Second
					time.AfterFunc(want, func() { b.l.Track(c, http.StateClosed) })
				}
				if after, err := wait(); err != nil || after != want {
					t.Errorf("%v after %v, want %v", err, after, want)
				}
			})
		})
	}
}
