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

// viewEvery is how often the page is shown the state.
const viewEvery = 500 * time.Millisecond

// Demo is the two sides, and what clients do to both.
type Demo struct {
	sides [2]*side

	mu       sync.Mutex
	settings Settings
	views    []byte        // the last event, encoded
	fresh    chan struct{} // closed when there is another
}

// Run serves the page at l, and writes a line for each side to out every second, until ctx ends.
func Run(ctx context.Context, l net.Listener, s Settings, out io.Writer) error {
	fmt.Fprintf(out, "http://%s/ has the page: the same application twice, behind the gate and behind a plain queue.\n\n", l.Addr())
	d := &Demo{fresh: make(chan struct{})}
	dir, err := os.MkdirTemp("", "sluice-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for i, name := range []string{"gate", "queue"} {
		if d.sides[i], err = openSide(ctx, dir, name, name == "gate"); err != nil {
			return fmt.Errorf("starting the application: %w", err)
		}
		defer d.sides[i].close()
	}
	d.set(s)
	server := &http.Server{Handler: d.page(), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	defer server.Close()
	return d.watch(ctx, failed, out)
}

// watch looks at both sides until ctx ends.
func (d *Demo) watch(ctx context.Context, failed <-chan error, out io.Writer) error {
	fmt.Fprintln(out, "                 short requests              threads at work             waiting")
	fmt.Fprintln(out, "time       a second  median      p99   short  polls  session   queue  parked   failed")
	ticker := time.NewTicker(viewEvery)
	defer ticker.Stop()
	begun := time.Now()
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
			views := [2]View{d.sides[0].view(now), d.sides[1].view(now)}
			d.publish(views)
			if n%2 != 0 {
				continue
			}
			for _, v := range views {
				fmt.Fprintf(out, "%3.0fs %-5s  %7.0f  %4.0f ms  %4.0f ms   %5d  %5d  %7d   %5d  %6d   %6d\n", now.Sub(begun).Seconds(), v.Name,
					v.Answered, v.Median, v.P99, v.Short, v.Poll, v.Session, v.Queue-v.Parked, v.Parked, v.TotalFailed)
			}
		}
	}
}

// set has both sides' clients do what settings say.
func (d *Demo) set(s Settings) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, side := range d.sides {
		side.load.set(s)
		if s.Leak != d.settings.Leak {
			side.hub.tell(map[bool]string{true: "leak on", false: "leak off"}[s.Leak])
		}
	}
	d.settings = s
}

// tell sends a command to both applications.
func (d *Demo) tell(command string) {
	for _, side := range d.sides {
		side.hub.tell(command)
	}
}
