package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// load is the clients of one side.
type load struct {
	base    string
	client  *http.Client
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu        sync.Mutex
	rate      int
	changed   chan struct{}                   // has one when rate is another
	loops     map[string][]context.CancelFunc // clients that ask again and again, by path
	latencies []time.Duration                 // of the short requests that were answered since the last look
	counts    counts
	waiting   int // short requests without an answer yet
}

// counts only grow.
type counts struct{ asked, answered, failed, polls, sessions uint64 }

// impatient is when a visitor has gone.
const impatient = 20 * time.Second

func startLoad(base string) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{
		base: base, ctx: ctx, stop: stop, loops: make(map[string][]context.CancelFunc), changed: make(chan struct{}, 1),
		client: &http.Client{Timeout: impatient, Transport: &http.Transport{MaxIdleConnsPerHost: MaxPolls + MaxRate}},
	}
	l.running.Go(l.visit)
	return l
}

// set has the clients do what settings say from now on.
func (l *load) set(s Settings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = s.Rate
	select {
	case l.changed <- struct{}{}:
	default: // it has one
	}
	l.setLoops("/poll", s.Polls, func(i int) string { return fmt.Sprintf("poller-%d", i) }, &l.counts.polls)
	l.setLoops("/session", s.Sessions, func(int) string { return "the-busy-one" }, &l.counts.sessions)
}

// setLoops has n clients ask for a path again and again.
func (l *load) setLoops(path string, n int, session func(int) string, answered *uint64) {
	list := l.loops[path]
	for len(list) > n {
		list[len(list)-1]()
		list = list[:len(list)-1]
	}
	for i := len(list); i < n; i++ {
		ctx, stop := context.WithCancel(l.ctx)
		list = append(list, stop)
		l.running.Go(func() {
			for ctx.Err() == nil {
				err := l.get(ctx, path, session(i))
				l.mu.Lock()
				if err == nil {
					*answered++
				} else if ctx.Err() == nil {
					l.counts.failed++
				}
				l.mu.Unlock()
				if err != nil {
					pause(ctx, time.Second)
				}
			}
		})
	}
	l.loops[path] = list
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// visit sends the short requests, each of another visitor.
func (l *load) visit() {
	for n := 0; l.ctx.Err() == nil; n++ {
		l.mu.Lock()
		rate := l.rate
		if rate > 0 {
			l.counts.asked++
			l.waiting++
		}
		l.mu.Unlock()
		if rate == 0 {
			select {
			case <-l.changed:
			case <-l.ctx.Done():
			}
			continue
		}
		l.running.Go(func() { l.short(n) })
		pause(l.ctx, time.Second/time.Duration(rate))
	}
}

func (l *load) short(n int) {
	begun := time.Now()
	err := l.get(l.ctx, "/", fmt.Sprintf("visitor-%d", n))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting--
	switch {
	case err == nil:
		l.counts.answered++
		l.latencies = append(l.latencies, time.Since(begun))
	case l.ctx.Err() == nil:
		l.counts.failed++
	}
}

func (l *load) get(ctx context.Context, path, session string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base+path, nil)
	if err != nil {
		return err
	}
	req.AddCookie(&http.Cookie{Name: sessionCookie, Value: session})
	res, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, res.Status)
	}
	return nil
}

// look returns the counts, and the median and the 99th percentile of the answers since the last look.
func (l *load) look() (c counts, waiting int, median, p99 time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.latencies)
	if n := len(l.latencies); n > 0 {
		median, p99 = l.latencies[(n-1)/2], l.latencies[(n-1)*99/100]
	}
	l.latencies = l.latencies[:0]
	return l.counts, l.waiting, median, p99
}

func (l *load) close() {
	l.stop()
	l.running.Wait()
	l.client.CloseIdleConnections()
}
