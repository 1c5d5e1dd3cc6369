package sim

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func named(t *testing.T, name string) Scenario {
	t.Helper()
	for _, s := range Scenarios() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no scenario %s", name)
	return Scenario{}
}

func TestTimeline(t *testing.T) {
	var line timeline
	var got []int
	for i, at := range []time.Duration{5, 3, 9, 3, 0, 7, 3, 1, 8, 2} {
		line.after(at, func(*request) { got = append(got, i) }, nil)
	}
	for len(line.heap) > 0 {
		e := line.next()
		e.do(nil)
	}
	if want := []int{4, 7, 9, 1, 3, 6, 0, 5, 8, 2}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	if line.now != 9 {
		t.Errorf("it is %d, want 9", line.now)
	}
}

func TestClock(t *testing.T) {
	c := &clock{timeline: new(timeline)}
	var calls []time.Duration
	timer := c.AfterFunc(10, func() { calls = append(calls, c.now) })
	if !timer.Reset(20) {
		t.Error("it was not set")
	}
	stopped := c.AfterFunc(5, func() { t.Error("a stopped timer fires") })
	if !stopped.Stop() || stopped.Stop() {
		t.Error("Stop does not say what it did")
	}
	for len(c.heap) > 0 {
		e := c.next()
		e.do(nil)
	}
	if timer.Stop() || c.timers != 0 {
		t.Errorf("%d timers are set after they fired", c.timers)
	}
	if !slices.Equal(calls, []time.Duration{20}) {
		t.Errorf("fired at %v, want 20", calls)
	}
	if c.Now() != epoch.Add(20) {
		t.Errorf("it is %v", c.Now())
	}
}

func TestStallsHoldUp(t *testing.T) {
	const s = time.Second
	b := &backend{s: &run{o: Options{Scenario: Scenario{Stall: 5 * s, StallEvery: 60 * s}}}}
	for _, tt := range []struct{ at, work, want time.Duration }{
		{0, 10 * s, 10 * s},
		{0, 30 * s, 30 * s},
		{0, 31 * s, 36 * s},
		{29 * s, 2 * s, 7 * s},
		{30 * s, 1 * s, 6 * s},
		{32 * s, 1 * s, 4 * s},
		{35 * s, 1 * s, 1 * s},
		{35 * s, 56 * s, 61 * s},
		{0, 200 * s, 220 * s},
	} {
		b.s.now = tt.at
		if got := b.progress(tt.work); got != tt.want {
			t.Errorf("%v of work at %v take %v, want %v", tt.work, tt.at, got, tt.want)
		}
	}
	for at, want := range map[time.Duration]bool{0: false, 30 * s: true, 34 * s: true, 35 * s: false, 90 * s: true} {
		b.s.now = at
		if b.stalled() != want {
			t.Errorf("stalled at %v: %v", at, !want)
		}
	}
}

// erlangC is the share of arrivals that wait, of a load of a on n servers.
func erlangC(n int, a float64) float64 {
	blocked := 1.0
	for k := 1; k <= n; k++ {
		blocked = a * blocked / (float64(k) + a*blocked)
	}
	return blocked / (1 - a/float64(n)*(1-blocked))
}

// TestTheory holds the simulator against the formula for a queue whose arrivals are
// Poisson and whose times are exponential.
func TestTheory(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		policy  Policy
		servers int
		load    float64
	}{
		{FIFO, 16, 0.8},
		{FIFO, 16, 0.9},
		{Split, 12, 0.6},
	} {
		a := tt.load * 16
		// A connection in ten must be dialled.
		mean := meanShort + time.Duration((1-keptShare)*float64(dialTime))
		a *= float64(mean) / float64(meanShort)
		want := math.Log(erlangC(tt.servers, a)/0.01) / (float64(tt.servers) - a) * mean.Seconds()
		var sum float64
		const seeds = 3
		for seed := range uint64(seeds) {
			r, err := Run(Options{Policy: tt.policy, Scenario: named(t, "calm"), Workers: 16, Load: tt.load, For: 100 * time.Second, Seed: seed})
			if err != nil {
				t.Fatal(err)
			}
			sum += r.P99.Seconds() / seeds
		}
		if math.Abs(sum-want) > 0.15*want {
			t.Errorf("%s at load %g: p99 of the wait is %.1f ms, by theory %.1f ms", tt.policy, tt.load, sum*1e3, want*1e3)
		}
	}
}

func TestDeterministic(t *testing.T) {
	t.Parallel()
	for _, policy := range Policies() {
		o := Options{Policy: policy, Scenario: named(t, "everything"), Workers: 4, Load: 0.6, For: 36 * time.Second, Seed: 3}
		first, err := Run(o)
		if err != nil {
			t.Fatalf("%s: %v", policy, err)
		}
		second, _ := Run(o)
		if first != second {
			t.Errorf("%s: twice the same run:\n%+v\n%+v", policy, first, second)
		}
		o.Seed++
		if other, _ := Run(o); first == other {
			t.Errorf("%s: another seed gives the same", policy)
		}
	}
}

// TestWorkloadApartFromPolicy: two policies of a seed see the same short requests.
func TestWorkloadApartFromPolicy(t *testing.T) {
	t.Parallel()
	came := func(p Policy) (n []int) {
		o := Options{Policy: p, Scenario: named(t, "stall"), Workers: 8, Load: 0.6, For: 40 * time.Second, Seed: 5}
		o.Trace = func(s Second) { n = append(n, s.Arrived) }
		if _, err := Run(o); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if a, b := came(Unlimited), came(Learned); !slices.Equal(a, b) || len(a) < 39 {
		t.Errorf("arrivals differ:\n%v\n%v", a, b)
	}
}

// TestCheckerFindsFaults shows each check at work: a checker of stricter promises than the gate was
// given must complain.
func TestCheckerFindsFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want, scenario string
		policy         Policy
		spoil          func(s *run, p *gatePolicy)
	}{
		{"P1:", "tabs", Declared, func(_ *run, p *gatePolicy) { p.cfg.Workers-- }},
		{"P1:", "tabs", Declared, func(s *run, _ *gatePolicy) { s.o.Workers-- }},
		{"P2:", "herd", Declared, func(s *run, p *gatePolicy) {
			var flag func(*request) // from shortly before many polls end and others start
			flag = func(*request) {
				for _, r := range p.checker.inFlight {
					r.policy.slow = true
				}
				s.after(time.Millisecond, flag, nil)
			}
			s.after(pollTime-time.Millisecond, flag, nil)
		}},
		{"P3:", "polls", Declared, func(_ *run, p *gatePolicy) { p.cfg.LongTimeout -= 2 * tick }},
		{"P4:", "polls", Declared, func(s *run, _ *gatePolicy) {
			s.after(5*time.Second, func(*request) { s.start(&request{state: left}) }, nil)
		}},
		{"settled", "polls", Declared, func(s *run, p *gatePolicy) {
			s.after(5*time.Second, func(*request) {
				w := &waiter{p: p, r: &request{state: left}}
				w.Settle(nil)
				w.Settle(nil)
			}, nil)
		}},
		{"P5:", "lock", Learned, func(_ *run, p *gatePolicy) { p.cfg.ClientLimit = 0 }},
		{"P6:", "stall", Learned, func(s *run, p *gatePolicy) {
			s.after(5*time.Second, func(*request) { p.checker.stalled, p.checker.probeInterval = true, time.Second }, nil)
		}},
		{"given back twice", "calm", Learned, func(s *run, p *gatePolicy) {
			s.after(5*time.Second, func(*request) { p.checker.inFlight[0].policy.done = true }, nil)
		}},
		{"in use, it is", "tabs", Learned, func(s *run, p *gatePolicy) {
			s.after(5*time.Second, func(*request) { p.checker.inFlight[0].policy.ticket.Done() }, nil)
		}},
	} {
		s, err := newRun(Options{Policy: tt.policy, Scenario: named(t, tt.scenario), Workers: 8, Load: 0.6, For: 40 * time.Second, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		tt.spoil(s, s.policy.(*gatePolicy))
		if _, err := s.play(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: error %v, want one about %q", tt.scenario, tt.policy, err, tt.want)
		}
	}
}

func TestHistogram(t *testing.T) {
	h := new(histogram)
	if h.quantile(0.5) != 0 {
		t.Error("the median of nothing is something")
	}
	for range 50 {
		h.add(20 * time.Microsecond)
	}
	for range 40 {
		h.add(12*time.Millisecond + 30*time.Microsecond)
	}
	for range 9 {
		h.add(4 * time.Second)
	}
	h.add(time.Hour)
	for q, want := range map[float64]time.Duration{
		0.49: 0, 0.5: 12100 * time.Microsecond, 0.89: 12100 * time.Microsecond, 0.9: 4010 * time.Millisecond, 0.99: time.Minute,
	} {
		if got := h.quantile(q); got != want {
			t.Errorf("quantile %g is %v, want %v", q, got, want)
		}
	}
}
