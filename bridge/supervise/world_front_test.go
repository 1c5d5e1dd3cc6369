package supervise

import (
	"maps"
	"slices"
	"time"
)

// door is an instance, as whoever sends requests knows it.
type door struct {
	drained  chan struct{} // closed when no request is left; nil: it is not drained
	since    time.Time     // when that began
	requests []time.Time   // when those in flight came
}

// settle tells who drains it when no request is left.
func (d *door) settle() {
	if d.drained != nil && len(d.requests) == 0 && !isClosed(d.drained) {
		close(d.drained)
	}
}

// cut ends all requests.
func (d *door) cut() []Request {
	if d == nil {
		return nil
	}
	lost := d.inFlight()
	d.requests = nil
	d.settle()
	return lost
}

func (d *door) inFlight() (all []Request) {
	for _, came := range d.requests {
		all = append(all, Request{Method: "GET", Path: "/", Route: "GET /", Age: time.Since(came)})
	}
	return all
}

// serve has up to so many requests come to each instance that gets any, and those that
// are there answered, or some of them.
func (w *world) serve(most int) {
	w.mu.Lock()
	var answered []string
	for _, addr := range slices.Sorted(maps.Keys(w.doors)) {
		d := w.doors[addr]
		if !w.at(addr).serves() {
			continue
		}
		if d.drained == nil {
			for range w.luck.IntN(most + 1) {
				d.requests = append(d.requests, time.Now())
			}
			if len(d.requests) > 0 && w.luck.IntN(3) > 0 {
				answered = append(answered, addr)
			}
		}
		switch n := len(d.requests); {
		case w.calm:
			d.requests = nil
		case n > 0 && w.luck.IntN(2) == 0:
			d.requests = d.requests[n-w.luck.IntN(n):]
		}
		d.settle()
	}
	w.mu.Unlock()
	for _, addr := range answered {
		w.sup.answered(addr, "GET /")
	}
}

func (w *world) Add(addr string, _ func() bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("add %s", addr)
	if w.doors[addr] != nil {
		w.t.Errorf("%s is added twice", addr)
	}
	w.doors[addr] = new(door)
	return nil
}

func (w *world) Drain(addr string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("drain %s", addr)
	d := w.doors[addr]
	if d == nil {
		w.t.Errorf("%s is drained, but not known", addr)
		d = new(door)
	}
	if d.drained == nil {
		d.drained, d.since = make(chan struct{}), time.Now()
	}
	d.settle()
	return d.drained
}

func (w *world) Resume(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("resume %s", addr)
	d := w.doors[addr]
	if d == nil || d.drained == nil {
		w.t.Errorf("%s is resumed, but not drained", addr)
		return
	}
	d.drained = nil
}

func (w *world) Remove(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("remove %s", addr)
	d := w.doors[addr]
	if d == nil {
		w.t.Errorf("%s is removed, but not known", addr)
		return
	}
	if c := w.at(addr); c != nil && c.lives() && len(d.requests) > 0 {
		w.t.Errorf("%s is removed, with %d requests at child %d, which lives", addr, len(d.requests), c.n)
	}
	d.cut()
	delete(w.doors, addr)
}

func (w *world) Fail(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("fail %s", addr)
	if c := w.at(addr); c != nil && c.lives() {
		w.t.Errorf("requests are sent away from %s, where child %d lives", addr, c.n)
	}
}

func (w *world) Down() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("down")
}

func (w *world) Load() Load {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := Load{Waiting: w.waiting}
	for _, d := range w.doors {
		l.InFlight += len(d.requests)
	}
	return l
}

func (w *world) Connected(addr string) (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := w.doors[addr]; d != nil {
		return len(d.requests), w.luck.IntN(5) > 0
	}
	return 0, true
}

func (w *world) InFlight(addr string) []Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := w.doors[addr]; d != nil {
		return d.inFlight()
	}
	return nil
}
