package admission

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func TestSample(t *testing.T) {
	r := newRig(t, 4, func(c *Config) { c.Lanes = false })
	before := r.g.Sample()
	var visits []*visit
	for i := range 4 {
		visits = append(visits, r.enter(page(uint64(i+1))).mustRun())
	}
	waits := r.enter(page(9)).mustWait()
	visits[0].ticket.Abandoned()
	visits[0].ticket.Abandoned() // counts once
	r.clock.pass(100 * time.Millisecond)
	s := r.g.Sample()
	if s.InUse != 4 || s.Capacity != 4 || s.Abandoned != 1 || s.Waiting != 1 || s.Started[Short]-before.Started[Short] != 4 {
		t.Errorf("%+v", s)
	}
	visits[1].done()
	after := r.g.Sample()
	waits.mustRun()
	if n := after.Ended[Short][timeBucket(100*time.Millisecond)] - before.Ended[Short][timeBucket(100*time.Millisecond)]; n != 1 {
		t.Errorf("%d requests have ended after 100 ms, want 1", n)
	}
	refused := r.enter(page(5)).mustWait()
	r.g.RefuseWaiting(Down)
	if n := r.g.Sample().Refused[Down]; n != 1 {
		t.Error("no refusal was counted")
	}
	r.leaveAll(append(visits, waits, refused))
	if s := r.g.Sample(); s.InUse != 0 || s.Abandoned != 0 || s.Waiting+s.Parked != 0 {
		t.Errorf("at the end: %+v", s)
	}
}

// Each time is in the bucket whose bound is the least that it does not exceed.
func TestTimeBuckets(t *testing.T) {
	last := TimeBound(timeBuckets - 1)
	if last < 2*time.Minute {
		t.Errorf("the buckets end at %v", last)
	}
	for d := time.Microsecond; d < last; d += d/7 + 1 {
		i := timeBucket(d)
		if d > TimeBound(i)+1 || i > 0 && d < TimeBound(i-1)-1 {
			t.Fatalf("%v is in bucket %d, from %v to %v", d, i, TimeBound(i-1), TimeBound(i))
		}
	}
	if i := timeBucket(time.Hour); i != timeBuckets-1 {
		t.Errorf("an hour is in bucket %d", i)
	}
}

// Requests that hold slots all the time are in every copy, once, while others come and go.
func TestInFlightIsWholeWhileRequestsComeAndGo(t *testing.T) {
	cfg := Defaults(4000)
	cfg.Lanes = false
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	enter := func(path string) Ticket {
		ticket, err := g.Acquire(t.Context(), &Request{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	var passing, staying []Ticket
	for range 1000 {
		passing, staying = append(passing, enter("/passes")), append(staying, enter("/stays"))
	}
	stop := make(chan struct{})
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for i := 0; ; i = (i + 1) % len(passing) {
			select {
			case <-stop:
				return
			default:
				passing[i].Done()
				passing[i] = enter("/passes")
			}
		}
	})
	for range 50 {
		all := g.InFlight()
		stay := slices.DeleteFunc(all, func(r InFlight) bool { return r.Path != "/stays" })
		numbers := make(map[uint64]bool)
		for _, r := range stay {
			numbers[r.Number] = true
		}
		if len(stay) != len(staying) || len(numbers) != len(staying) {
			t.Fatalf("%d requests are listed, %d of them once, want %d", len(stay), len(numbers), len(staying))
		}
	}
	close(stop)
	tasks.Wait()
	for _, ticket := range append(passing, staying...) {
		ticket.Done()
	}
}
