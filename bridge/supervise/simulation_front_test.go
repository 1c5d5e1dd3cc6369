package supervise

import (
	"maps"
	"slices"
	"time"
)

// simInstance is an instance as the simulated Front knows it.
type simInstance struct {
	drained  chan struct{} // closed when no request is left; nil: not drained
	since    time.Time     // when the drain began
	requests []time.Time   // the starts of those in flight
}

// settle ends the drain when no request is left.
func (d *simInstance) settle() {
	if d.drained != nil && len(d.requests) == 0 && !isClosed(d.drained) {
		close(d.drained)
	}
}

// cut ends all requests.
func (d *simInstance) cut() []Request {
	if d == nil {
		return nil
	}
	lost := d.inFlight()
	d.requests = nil
	d.settle()
	return lost
}

func (d *simInstance) inFlight() (all []Request) {
	for _, came := range d.requests {
		all = append(all, Request{Method: "GET", Path: "/", Route: "GET /", Age: time.Since(came)})
	}
	return all
}

// serve starts up to most requests at each instance that gets any, and answers some.
func (w *simulation) serve(most int) {
	w.mu.Lock()
	var answered []string
	for _, addr := range slices.Sorted(maps.Keys(w.instances)) {
		d := w.instances[addr]
		if !w.at(addr).accepts() {
			continue
		}
		if d.drained == nil {
			for range w.rng.IntN(most + 1) {
				d.requests = append(d.requests, time.Now())
			}
			if len(d.requests) > 0 && w.rng.IntN(3) > 0 {
				answered = append(answered, addr)
			}
		}
		switch n := len(d.requests); {
		case w.faultless:
			d.requests = nil
		case n > 0 && w.rng.IntN(2) == 0:
			d.requests = d.requests[n-w.rng.IntN(n):]
		}
		d.settle()
	}
	w.mu.Unlock()
	for _, addr := range answered {
		w.sup.answered(addr, "GET /")
	}
}

func (w *simulation) Add(addr string, _ func() bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("add %s", addr)
	if w.instances[addr] != nil {
		w.t.Errorf("%s is added twice", addr)
	}
	w.instances[addr] = new(simInstance)
	return nil
}

func (w *simulation) Drain(addr string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("drain %s", addr)
	d := w.instances[addr]
	if d == nil {
		w.t.Errorf("%s is drained, but not known", addr)
		d = new(simInstance)
	}
	if d.drained == nil {
		d.drained, d.since = make(chan struct{}), time.Now()
	}
	d.settle()
	return d.drained
}

func (w *simulation) Resume(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("resume %s", addr)
	d := w.instances[addr]
	if d == nil || d.drained == nil {
		w.t.Errorf("%s is resumed, but not drained", addr)
		return
	}
	d.drained = nil
}

func (w *simulation) Remove(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("remove %s", addr)
	d := w.instances[addr]
	if d == nil {
		w.t.Errorf("%s is removed, but not known", addr)
		return
	}
	if c := w.at(addr); c != nil && c.lives() && len(d.requests) > 0 {
		w.t.Errorf("%s is removed, with %d requests at child %d, which lives", addr, len(d.requests), c.n)
	}
	d.cut()
	delete(w.instances, addr)
}

func (w *simulation) Fail(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("fail %s", addr)
	if c := w.at(addr); c != nil {
		w.t.Errorf("requests are sent away from %s, where child %d or its group is", addr, c.n)
	}
}

func (w *simulation) Down() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("down")
}

func (w *simulation) Load() Load {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := Load{Waiting: w.waiting}
	for _, d := range w.instances {
		l.InFlight += len(d.requests)
	}
	return l
}

func (w *simulation) Connected(addr string) (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := w.instances[addr]; d != nil {
		return len(d.requests), w.rng.IntN(5) > 0
	}
	return 0, true
}

func (w *simulation) InFlight(addr string) []Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := w.instances[addr]; d != nil {
		return d.inFlight()
	}
	return nil
}
