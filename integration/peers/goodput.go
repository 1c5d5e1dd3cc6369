package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// crowd is a load that is more than the application has workers for: some clients ask for what takes
// long, and others for short pages at a steady rate. Goodput is the share of the pages that are answered
// within onTime.
type crowd struct {
	label   string
	about   string
	workers int    // of the application
	slow    int    // clients that ask again and again
	path    string // for what takes long
	session bool   // they are one client, with one session
}

func (c crowd) name() string { return c.label }

var crowds = []crowd{
	{label: "starvation", about: "24 clients hold long-polls of 3 s, the application has 16 threads", workers: 16, slow: 24, path: "/hold/3s"},
	{label: "session", about: "12 tabs of one session ask for pages that take 500 ms and the session's lock, the application has 8 threads", workers: 8, slow: 12, path: "/locked/500ms", session: true},
}

const (
	pagesPerSecond = 20
	// onTime is how long a visitor waits.
	onTime = time.Second
	// crowdFirst is how long the slow clients are there before the first page is asked for.
	crowdFirst = 500 * time.Millisecond
	// slowPause is when a slow client asks again after a failure.
	slowPause = 250 * time.Millisecond
)

// goodput is what became of the pages.
type goodput struct {
	sent, good int
	median     time.Duration // of the good ones
}

func (g goodput) share() float64 { return float64(g.good) / float64(max(g.sent, 1)) }

// crowd lets every peer have each crowd, in front of an application of its own.
func (b *bench) crowd(ctx context.Context) error {
	for _, c := range b.opts.crowds {
		for _, e := range b.running() {
			if e.peer.tls || e.peer.php { // the same server is there without TLS, and in front of the other application
				continue
			}
			got, err := b.crowdAt(ctx, e.peer, c)
			if ctx.Err() != nil {
				return interruption(ctx)
			}
			if err != nil {
				progress("%s  %s: %v", c.label, e.peer.label, err)
				e.missed[c.label] = err
				continue
			}
			e.goodputs[c.label] = got
			progress("%s  %-18s %3.0f %% of %d pages on time", c.label, e.peer.label, 100*got.share(), got.sent)
		}
	}
	return nil
}

func (b *bench) crowdAt(ctx context.Context, p peer, c crowd) (got goodput, err error) {
	dir := filepath.Join(b.dir, p.label+"-"+c.label)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return got, err
	}
	socket := filepath.Join(dir, "app.sock")
	app, err := b.startBackend(ctx, dir, socket, "--workers", fmt.Sprint(c.workers))
	if err != nil {
		return got, err
	}
	defer app.stop()
	e := &entry{peer: p, workers: c.workers}
	defer e.stop()
	if err := e.start(ctx, dir, b.dir, socket, scenarios[0]); err != nil {
		return got, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	waitSlow := c.ask(ctx, e.url)
	defer func() { cancel(); waitSlow() }()
	return askPages(ctx, e.url, b.opts.crowdFor), app.ended()
}

// ask begins with the slow requests, which end with ctx, and returns what waits for that.
func (c crowd) ask(ctx context.Context, url string) (wait func()) {
	var slow sync.WaitGroup
	for n := range c.slow {
		if c.session {
			n = 0
		}
		slow.Go(func() {
			for ctx.Err() == nil {
				if status, _ := fetch(ctx, url+c.path, n); status != http.StatusOK {
					pause(ctx, slowPause)
				}
			}
		})
	}
	return slow.Wait
}

// askPages asks for pages at their rate for d, each as a client of its own.
func askPages(ctx context.Context, url string, d time.Duration) goodput {
	pause(ctx, crowdFirst)
	var (
		pages sync.WaitGroup
		mu    sync.Mutex
		took  []time.Duration
	)
	tick := time.NewTicker(time.Second / pagesPerSecond)
	defer tick.Stop()
	n := int(d.Seconds() * pagesPerSecond)
	for i := range n {
		<-tick.C
		pages.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, onTime)
			defer cancel()
			if status, after := fetch(ctx, url+"/bytes/200", 1000+i); status == http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				took = append(took, after)
			}
		})
	}
	pages.Wait()
	slices.Sort(took)
	got := goodput{sent: n, good: len(took)}
	if got.good > 0 {
		got.median = took[got.good/2]
	}
	return got
}

// fetch asks for a page as client n. The status is 0 if no answer has come.
func fetch(ctx context.Context, url string, n int) (status int, after time.Duration) {
	begun := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0
	}
	req.Header.Set("Cookie", fmt.Sprintf("trac_session=%024d", n))
	resp, err := client.Do(req)
	if err != nil {
		return 0, 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, 0
	}
	return resp.StatusCode, time.Since(begun)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

var crowdHeading = []string{"peer", "version", "on time", "median ms"}

// crowdRows is the table of a crowd, heading first.
func crowdRows(entries []*entry, c crowd) [][]string {
	out := [][]string{crowdHeading}
	for _, e := range entries {
		got, ok := e.goodputs[c.label]
		if !ok {
			continue
		}
		out = append(out, []string{e.peer.label, e.version, fmt.Sprintf("%.0f %%", 100*got.share()), fmt.Sprintf("%.0f", float64(got.median)/float64(time.Millisecond))})
	}
	return out
}
