package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/demo"
)

func demoCommand() *cobra.Command {
	front := endpoint{key: "listen", mode: 0o600, nameOf: flagOfKey}
	settings := demo.Settings{}
	var duration durationFlag
	var application, gate string
	var isFleet bool
	fleet := demo.FleetSettings{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the gate at work, with nothing to install",
		Long: fmt.Sprintf(`Show the gate at work, with nothing to install: on a page whose address it prints
first, and as lines of text.

It starts the same FastCGI application twice, with %d threads each; like flup's threaded
server, it closes a connection at once that it has no thread for. One is behind the gate,
the other behind a plain queue, which is the best that other proxies have. Clients hold
long-polls open at both, and ask for short pages. On the page you can change what they do,
have a session wait for its own lock, and stall or crash the application, or have it leak
memory. Ctrl-C ends it.

With --fleet it starts the application once, two gates that share its threads, and the engine
that leases these to them. On the page you can send more clients to one gate, stop the
engine, cut a gate off from it, and end a gate and start it again. The application counts
its connections: there are never more than it has threads.`, demo.ThreadCount),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case application != "":
				return failure(demo.RunApplication(application))
			case gate != "":
				return failure(demo.RunGate(gate))
			case isFleet:
				settings.Fleet = &fleet
			case cmd.Flags().Changed("balance"):
				return errors.New("--balance is for the gates of --fleet, which is not given")
			}
			if err := settings.Check(); err != nil {
				return fmt.Errorf("--%w", err)
			}
			if isUnix(front.addr) {
				return fmt.Errorf("--listen %q: no browser can open it; want host:port", front.addr)
			}
			l, err := front.listen()
			if err != nil {
				return flagError(err)
			}
			defer l.Close()
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if duration > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(duration))
				defer cancel()
			}
			return failure(demo.Run(ctx, l, settings, cmd.OutOrStdout()))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&front.addr, "listen", "127.0.0.1:0", "serve the page at `ADDR`, host:port; port 0 takes a free one")
	f.Var(&duration, "duration", "end after this `TIME`; 0: run until Ctrl-C")
	f.IntVar(&settings.Polls, "polls", 24, "clients that hold a long-poll open")
	f.IntVar(&settings.Rate, "rate", 40, "short requests a second")
	f.IntVar(&settings.Sessions, "sessions", 0, "requests of one session at once, which wait for its lock")
	f.BoolVar(&isFleet, "fleet", false, "show two gates in front of one application instead")
	f.IntVar(&fleet.Balance, "balance", 50, "with --fleet: of 100 clients, how many ask the first gate")
	f.StringVar(&application, "application", "", "be the application, under the control of this socket")
	f.StringVar(&gate, "gate", "", "be a gate of the fleet, under the control of this socket")
	for _, name := range []string{"application", "gate"} {
		if err := f.MarkHidden(name); err != nil {
			panic(err) // it is there
		}
	}
	return cmd
}

// failure is an error of something that has begun to run.
func failure(err error) error {
	if err != nil {
		return &runError{err}
	}
	return nil
}
