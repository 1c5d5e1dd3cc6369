package pool

import (
	"testing"
	"testing/synctest"
	"time"
)

// A limit holds as fewer Workers would, and says nothing about the application.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 5})
		all := leaseAll(t, p, 4)
		finish(t, all[0])
		wantCounts(t, p, counts{busy: 3, idle: 1})
		p.SetLimit(Limit{Connections: 2})
		wantCounts(t, p, counts{busy: 3})
		wantCapacity(t, p, 2)
		equal(t, "connections", p.Connections(), 3)
		waiting := startLease(p)
		finish(t, all[1])
		wantCounts(t, p, counts{busy: 2})
		if waiting.ended() {
			t.Error("a third request is sent")
		}
		finish(t, all[2])
		wantCounts(t, p, counts{busy: 2})
		finish(t, waiting.mustLease(t))
		if s := p.Snapshot().Instances[0]; s.State != "up" || s.Workers != 5 || s.Observed != 5 {
			t.Errorf("%+v", s)
		}
		p.SetLimit(Limit{Connections: 9})
		wantCapacity(t, p, 5)
		for _, l := range append(all[3:], leaseAll(t, p, 4)...) {
			finish(t, l)
		}
	})
}

// With a limit of 0 requests wait until there is another one.
func TestNoConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 2, WaitTimeout: time.Minute})
		p.SetLimit(Limit{})
		waiting := startLease(p)
		time.Sleep(time.Second)
		wantCounts(t, p, counts{})
		if waiting.ended() {
			t.Error("a request is sent")
		}
		p.SetLimit(Limit{Connections: 1})
		finish(t, waiting.mustLease(t))
		wantCounts(t, p, counts{idle: 1})
	})
}

// A limit ends at its time, be it for less or for more, and a new one in time keeps it.
func TestLimitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := helloPool(t, Config{Workers: 5, WaitTimeout: time.Minute, IdleTimeout: time.Hour})
		for range 3 {
			p.SetLimit(Limit{Connections: 4, Until: time.Now().Add(2 * time.Second), Then: 1})
			time.Sleep(time.Second)
		}
		all := leaseAll(t, p, 3)
		finish(t, all[0])
		wantCounts(t, p, counts{busy: 2, idle: 1})
		time.Sleep(time.Second)
		wantCounts(t, p, counts{busy: 2})
		wantCapacity(t, p, 1)
		finish(t, all[1])
		finish(t, all[2])
		wantCounts(t, p, counts{idle: 1})
		p.SetLimit(Limit{Connections: 1, Until: time.Now().Add(time.Second), Then: 2})
		wantCounts(t, p, counts{idle: 1})
		first := mustLease(t, p)
		waiting := startLease(p)
		time.Sleep(2 * time.Second)
		finish(t, waiting.mustLease(t))
		finish(t, first)
		wantCounts(t, p, counts{idle: 2})
	})
}
