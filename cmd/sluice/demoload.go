package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	demoBurst      = 40              // short requests that come at once ...
	demoBurstEvery = 5 * time.Second // ... this often
)

// demoLoad is the clients of the demonstration and their results.
type demoLoad struct {
	base    string
	client  *http.Client
	clients sync.WaitGroup

	mu        sync.Mutex
	latencies []time.Duration // of the short requests answered in this second
	open      int             // long-polls
	now, all  demoCounters    // in this second, and since the start
	lastError string
}

type demoCounters struct{ shorts, polls, errors int }

// startDemoLoad starts the clients. They end with ctx.
func startDemoLoad(ctx context.Context, base string, polls, rate int) *demoLoad {
	l := &demoLoad{base: base, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * demoBurst}}}
	for range polls {
		l.clients.Go(func() {
			for ctx.Err() == nil {
				l.poll(ctx)
			}
		})
	}
	l.clients.Go(func() { l.every(ctx, time.Second/time.Duration(rate), 1) })
	l.clients.Go(func() { l.every(ctx, demoBurstEvery, demoBurst) })
	return l
}

// every sends n short requests at once, once per pause.
func (l *demoLoad) every(ctx context.Context, pause time.Duration, n int) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for range n {
			l.clients.Go(func() { l.short(ctx) })
		}
	}
}

func (l *demoLoad) short(ctx context.Context) {
	begun := time.Now()
	err := l.get(ctx, "/")
	if ctx.Err() != nil {
		return // cut short by the end
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed(err)
		return
	}
	l.now.shorts++
	l.all.shorts++
	l.latencies = append(l.latencies, time.Since(begun))
}

func (l *demoLoad) poll(ctx context.Context) {
	l.mu.Lock()
	l.open++
	l.mu.Unlock()
	err := l.get(ctx, "/poll")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	switch {
	case ctx.Err() != nil: // cut short by the end
	case err != nil:
		l.failed(err)
	default:
		l.now.polls++
		l.all.polls++
	}
}

func (l *demoLoad) failed(err error) {
	l.now.errors++
	l.all.errors++
	l.lastError = err.Error()
}

func (l *demoLoad) get(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base+path, nil)
	if err != nil {
		return err
	}
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

// demoSecond is the clients' results in one second.
type demoSecond struct {
	answered, open, polls, errors int
	median, p99                   string
}

func (l *demoLoad) second() demoSecond {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.latencies)
	s := demoSecond{
		answered: l.now.shorts, open: l.open, polls: l.now.polls, errors: l.now.errors,
		median: l.quantile(0.5), p99: l.quantile(0.99),
	}
	l.latencies, l.now = l.latencies[:0], demoCounters{}
	return s
}

func (l *demoLoad) quantile(q float64) string {
	if len(l.latencies) == 0 {
		return "-"
	}
	d := l.latencies[int(q*float64(len(l.latencies)-1))]
	return fmt.Sprintf("%.0f ms", milliseconds(d))
}

func (l *demoLoad) wait() {
	l.clients.Wait()
	l.client.CloseIdleConnections()
}

func (l *demoLoad) total(app *demoApp) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := fmt.Sprintf("%d short requests and %d long-polls answered, %d errors, %d connections turned away by the application.",
		l.all.shorts, l.all.polls, l.all.errors, app.turnedAway.Load())
	if l.lastError != "" {
		text += " Last error: " + l.lastError
	}
	return text
}
