//go:build linux

package integration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// crowd is a set of clients of one site, and what became of their requests.
type crowd struct {
	site
	mu     sync.Mutex
	visits []visit
}

func newCrowd(t testing.TB, url string) *crowd { return &crowd{site: newSite(t, url)} }

// visit is a request with its end.
type visit struct {
	due    time.Time     // when it was to be sent
	took   time.Duration // from then until the answer was there whole
	status int           // 0: there was no answer
	again  time.Duration // Retry-After; 0: not said
	err    error         // of the connection, or because it is another's answer
}

// errand is what a client asks for.
type errand struct {
	route, cookie string
	header        http.Header // further fields
	answer        string      // the right one
}

// goes sends the errand that was due then, and keeps account of its end. It returns
// when the client may come back.
func (c *crowd) goes(ctx context.Context, due time.Time, e errand) time.Duration {
	v := visit{due: due}
	v.status, v.again, v.err = c.fetch(ctx, e)
	v.took = time.Since(due)
	if ctx.Err() != nil {
		return 0 // its client was told to go: that is no answer, and no failure
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.visits = append(c.visits, v)
	return v.again
}

func (c *crowd) fetch(ctx context.Context, e errand) (status int, again time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+e.route, nil)
	if err != nil {
		return 0, 0, err
	}
	maps.Copy(r.Header, e.header)
	if e.cookie != "" {
		r.Header.Set("Cookie", e.cookie)
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusOK && string(body) != e.answer {
		err = fmt.Errorf("got %q, want %q", head(string(body)), e.answer)
	}
	return resp.StatusCode, retryAfter(resp.Header), err
}

// retryAfter reads the field of that name; 0 if there is none, or none that is right.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// come sends errands for so long, so many a second, each at its own time whatever
// has become of those before: people do not wait for each other. They are the same
// errands at the same times in every run, so that runs can be compared.
func (c *crowd) come(ctx context.Context, rate float64, length time.Duration, next func(i int, dice *rand.Rand) errand) {
	dice := rand.New(rand.NewPCG(4, 16))
	var wg sync.WaitGroup
	defer wg.Wait()
	begin := time.Now()
	due := begin
	for i := 0; ; i++ {
		due = due.Add(time.Duration(dice.ExpFloat64() / rate * float64(time.Second)))
		if due.Sub(begin) > length {
			return
		}
		e, due := next(i, dice), due
		if sleep(ctx, time.Until(due)) != nil {
			return
		}
		wg.Go(func() { c.goes(ctx, due, e) })
	}
}

// again is a client with a closed loop, such as a tab that polls: it asks as soon as
// it is answered, or was told to.
func (c *crowd) again(ctx context.Context, e errand) {
	for ctx.Err() == nil {
		if wait := c.goes(ctx, time.Now(), e); wait > 0 {
			_ = sleep(ctx, wait) // its end is the loop's
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pageTime is what a page takes on average.
const pageTime = 20 * time.Millisecond

// page asks for a page of threaded.py or tabs.php. What it takes is exponentially
// distributed, and at most ten times the mean.
func page(script, cookie string, mean time.Duration, dice *rand.Rand) errand {
	ms := min(10, dice.ExpFloat64()) * mean.Seconds() * 1000
	return errand{route: fmt.Sprintf("%s?ms=%.2f", script, ms), cookie: cookie, answer: "page\n"}
}

// session is the cookie of one of a crowd, as long as sessions' are.
func session(name string, i int) string { return fmt.Sprintf("%s=%026d", name, i) }

// figures are what the requests of a crowd came to.
type figures struct {
	asked    int
	answered int // with the right 200
	refused  int // with a 503 that says when to come back
	failed   []visit

	p50, p99, worst time.Duration // of those that were answered
}

// figures are those of all visits.
func (c *crowd) figures() figures { return c.between(time.Time{}, farAway) }

// farAway is after every visit.
var farAway = time.Unix(1<<40, 0)

// between are the figures of the visits that were due from one time on and before
// another.
func (c *crowd) between(from, to time.Time) (f figures) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var took []time.Duration
	for _, v := range c.visits {
		if v.due.Before(from) || !v.due.Before(to) {
			continue
		}
		f.asked++
		switch {
		case v.err == nil && v.status == http.StatusOK:
			f.answered++
			took = append(took, v.took)
		case v.err == nil && v.status == http.StatusServiceUnavailable && v.again > 0:
			f.refused++
		default:
			f.failed = append(f.failed, v)
		}
	}
	slices.Sort(took)
	f.p50, f.p99 = quantile(took, 0.5), quantile(took, 0.99)
	f.worst = quantile(took, 1)
	return f
}

// quantile is the smallest value that at least that share of the values do not exceed.
func quantile[T cmp.Ordered](sorted []T, share float64) (v T) {
	if len(sorted) == 0 {
		return v
	}
	n := int(share*float64(len(sorted)) + 0.999999)
	return sorted[min(max(n, 1), len(sorted))-1]
}

func (f figures) String() string {
	return fmt.Sprintf("%d of %d answered, %d refused, %d failed; p50 %s, p99 %s, worst %s",
		f.answered, f.asked, f.refused, len(f.failed), millis(f.p50), millis(f.p99), millis(f.worst))
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func (v visit) String() string {
	return fmt.Sprintf("after %s: status %d, Retry-After %v, error %v", millis(v.took), v.status, v.again, v.err)
}

// wantAllAnswered fails unless every request was.
func (f figures) wantAllAnswered(t testing.TB, who string) {
	t.Helper()
	if f.asked == 0 {
		t.Errorf("%s: nothing was asked", who)
	}
	if f.refused > 0 {
		t.Errorf("%s: %d of %d were refused", who, f.refused, f.asked)
	}
	f.wantNoneFailed(t, who)
}

// wantNoneFailed fails unless every request was answered, or refused politely.
func (f figures) wantNoneFailed(t testing.TB, who string) {
	t.Helper()
	const enough = 10
	for _, v := range f.failed[:min(enough, len(f.failed))] {
		t.Errorf("%s: %v", who, v)
	}
	if len(f.failed) > enough {
		t.Errorf("%s: and %d more", who, len(f.failed)-enough)
	}
}

// jitter is what this machine may add to a latency by itself: it runs the clients,
// the gate and the application on few cores, and the tests of other packages besides;
// in a short run a single page is one in a hundred. A page that waits for a poll, or
// for a session's lock, waits for seconds.
const jitter = 400 * time.Millisecond

// wantAsQuickAs fails if the slowest in a hundred took more than twice as long as
// without load. In short runs, jitter is allowed besides.
func (f figures) wantAsQuickAs(t testing.TB, who string, unloaded figures) {
	t.Helper()
	t.Logf("%s: p99 is %.2f times that without load", who, float64(f.p99)/float64(unloaded.p99))
	if most := 2*unloaded.p99 + lasting(jitter, 0); f.p99 > most {
		t.Errorf("%s: p99 is %s, want at most %s: without load it was %s", who, millis(f.p99), millis(most), millis(unloaded.p99))
	}
}

// soaking reports whether tests under load run for their full length.
func soaking() bool { return lasting(0, 1) > 0 }

// coldStart is when a gate that began with knowing nothing has learned.
const coldStart = 3 * time.Second

// sideBySide logs figures as a table.
func sideBySide(t testing.TB, title string, rows ...string) {
	t.Helper()
	t.Logf("%s\n    %s", title, strings.Join(rows, "\n    "))
}

// errLeft ends a crowd's clients.
var errLeft = errors.New("the test is over")
