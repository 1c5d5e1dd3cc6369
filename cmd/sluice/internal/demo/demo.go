package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	viewEvery     = 500 * time.Millisecond // how often the page is shown the state
	headerTimeout = 10 * time.Second       // how long a client may take to send a header
)

// Demo is what is shown, and what clients do.
type Demo struct {
	news newsList

	mu       sync.Mutex
	scene    scene // nil: it has ended
	settings Settings
	views    []byte        // the last event, encoded
	fresh    chan struct{} // closed when there is another
}

// scene is what is shown: two sides of something. Its methods are called by one goroutine at a time.
type scene interface {
	// set has all be as the settings say, which were others before. look returns the state. Either
	// changes settings that cannot be kept.
	set(was, now *Settings)
	look(now time.Time, s *Settings) Picture
	do(deed string) // "stall", "crash": what happens to the application, or applications
	// titles are the two lines above the table on the terminal, and rows what is below.
	titles() (string, string)
	rows(p *Picture, since time.Duration) []string
	close()
}

// Picture is the state of a scene.
type Picture struct {
	Sides  [2]View `json:"sides"`
	Shared *Shared `json:"application,omitempty"` // nil: each side has its own
}

// Run serves the page at l, and writes a line for each side to out every second, until ctx ends.
func Run(ctx context.Context, l net.Listener, s Settings, out io.Writer) error {
	what := "the same application twice, behind the gate and behind a plain queue"
	if s.Fleet != nil {
		what = "two gates that share one application's workers"
	}
	fmt.Fprintf(out, "http://%s/ has the page: %s.\n\n", reachable(l.Addr()), what)
	d := &Demo{fresh: make(chan struct{}), news: newsList{begun: time.Now()}}
	dir, err := os.MkdirTemp("", "sluice-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if s.Fleet == nil {
		d.scene, err = openTwice(ctx, dir)
	} else {
		d.scene, err = openFleet(dir, &d.news)
	}
	if err != nil {
		return fmt.Errorf("starting the application: %w", err)
	}
	defer d.close()
	d.set(s)
	server := &http.Server{Handler: d.page(), ReadHeaderTimeout: headerTimeout, BaseContext: func(net.Listener) context.Context { return ctx }}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	defer server.Close()
	return d.watch(ctx, failed, out)
}

// reachable is where a browser of this machine finds a listener.
func reachable(addr net.Addr) string {
	if at, ok := addr.(*net.TCPAddr); ok && at.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", at.Port)
	}
	return addr.String()
}

// watch looks at both sides until ctx ends.
func (d *Demo) watch(ctx context.Context, failed <-chan error, out io.Writer) error {
	above, titles := d.scene.titles()
	fmt.Fprintln(out, above)
	fmt.Fprintln(out, titles)
	ticker := time.NewTicker(viewEvery)
	defer ticker.Stop()
	told := 0 // news
	for n := 1; ; n++ {
		select {
		case err := <-failed:
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return err
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			p, news := d.look(now)
			for _, item := range news {
				if item.Number > told {
					told = item.Number
					fmt.Fprintf(out, "%3.0fs %s: %s\n", item.At, item.Who, item.Text)
				}
			}
			if n%2 != 0 {
				continue
			}
			for _, row := range d.scene.rows(&p, now.Sub(d.news.begun)) {
				fmt.Fprintln(out, row)
			}
		}
	}
}

// look takes a picture, and shows it to all who look at the page.
func (d *Demo) look(now time.Time) (Picture, []News) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.scene.look(now, &d.settings)
	news := d.news.all()
	d.publish(&p, news)
	return p, news
}

// set has all be as settings say.
func (d *Demo) set(s Settings) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.scene == nil {
		return
	}
	d.scene.set(&d.settings, &s)
	d.settings = s
}

// do has something happen to the application, or applications.
func (d *Demo) do(deed string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.scene != nil {
		d.scene.do(deed)
	}
}

// close ends all. Requests of the page that are still there do nothing any more.
func (d *Demo) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.scene.close()
	d.scene = nil
}
