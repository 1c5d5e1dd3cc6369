package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// demoWorkers is the number of threads of the demonstration's application.
const demoWorkers = 16

func demoCommand() *cobra.Command {
	front := endpoint{flag: "listen", mode: 0o600}
	var d demo
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the gate at work, with nothing to install",
		Long: fmt.Sprintf(`Show the gate at work, in one process and with nothing to install.

It starts a FastCGI application with %d threads that, like flup's threaded server,
accepts a connection it has no thread for and closes it at once. With the gate in
front, clients hold more long-polls open than there are threads and request short
pages, now and then %d at once. Every second it prints what the clients saw.
--lanes off shows the same with a plain queue. Ctrl-C ends it.`, demoWorkers, demoBurst),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := d.check(); err != nil {
				return err
			}
			l, err := front.listen()
			if err != nil {
				return err
			}
			defer l.Close()
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return d.run(ctx, l, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&front.addr, "listen", "127.0.0.1:0", "serve HTTP at `ADDR`, for a look with a browser; port 0 takes a free one")
	f.Var((*durationFlag)(&d.duration), "duration", "end after this `TIME`; 0: run until Ctrl-C")
	f.IntVar(&d.polls, "polls", 24, "clients that hold a long-poll open")
	f.IntVar(&d.rate, "rate", 60, "short requests a second")
	f.StringVar(&d.lanes, "lanes", "on", "on: slow requests never take the last workers; off: one queue, first come, first served")
	return cmd
}

// demo is one run of the demonstration.
type demo struct {
	duration    time.Duration
	polls, rate int
	lanes       string
}

func (d *demo) check() error {
	switch {
	case d.polls < 0:
		return fmt.Errorf("--polls %d: must not be negative", d.polls)
	case d.rate < 1 || d.rate > 1000:
		return fmt.Errorf("--rate %d: want 1 to 1000", d.rate)
	case d.lanes != string(config.On) && d.lanes != string(config.Off):
		return fmt.Errorf("--lanes: is %q, want on or off", d.lanes)
	}
	return nil
}

func (d *demo) run(ctx context.Context, l net.Listener, out io.Writer) error {
	if d.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.duration)
		defer cancel()
	}
	app, err := startDemoApp()
	if err != nil {
		return &runError{err}
	}
	defer app.close()
	b, err := bridge.New(context.Background(), bridge.Config{
		ApplicationConfig: bridge.ApplicationConfig{
			Backends:  []string{app.Addr().String()},
			Workers:   demoWorkers,
			Lanes:     config.Switch(d.lanes),
			Multiplex: config.Off,
		},
		ApplicationHooks: bridge.ApplicationHooks{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))},
	})
	if err != nil {
		return &runError{err}
	}
	defer b.Close()
	server := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()

	load := startDemoLoad(ctx, "http://"+l.Addr().String(), d.polls, d.rate)
	fmt.Fprintf(out, "The gate listens on http://%s/ (a short page) and http://%[1]s/poll (a long-poll).\n", l.Addr())
	fmt.Fprintf(out, "Behind it: %d threads. In front: %d long-polls of %v, %d short requests/s of about %v, bursts of %d.\n\n",
		demoWorkers, d.polls, demoPoll, d.rate, demoShort, demoBurst)
	err = report(ctx, out, failed, app, load, b)
	load.wait()
	_ = server.Close() // its clients have ended
	fmt.Fprintf(out, "\nIn all: %s\n", load.total(app))
	return err
}

// report prints a line a second until ctx ends or the server fails.
func report(ctx context.Context, out io.Writer, failed <-chan error, app *demoApp, load *demoLoad, b *bridge.Handler) error {
	fmt.Fprintln(out, "       short requests                long-polls        the gate         the application")
	fmt.Fprintln(out, "time   answered  median      p99     open  answered    queue  parked    busy  turned away   errors")
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for second := 1; ; second++ {
		select {
		case err := <-failed:
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return &runError{err}
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		s, gate := load.second(), b.Snapshot().Gate
		parked := gate.Lanes["long"].Waiting + gate.Lanes["mixed"].Waiting
		fmt.Fprintf(out, "%3ds   %8d  %6s  %7s     %4d  %8d    %5d  %6d   %2d/%d  %11d   %6d\n",
			second, s.answered, s.median, s.p99, s.open, s.polls,
			gate.Waiting-parked, parked, app.busy.Load(), demoWorkers, app.turnedAway.Load(), s.errors)
	}
}
