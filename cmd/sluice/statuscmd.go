package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/watch"
)

// defaultStatus is where the state is served and asked for unless told otherwise.
const defaultStatus = "127.0.0.1:9180"

// The exit statuses of sluice status.
const (
	exitDegraded    = 1
	exitUnreachable = 2
)

// statusError ends sluice status with an exit status of its own. err is nil if the output has
// said what is the matter.
type statusError struct {
	exit int
	err  error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// statusOptions holds the flags of status.
type statusOptions struct {
	once, json  bool
	application string
	wait        string
	timeout     durationFlag
}

func statusCommand() *cobra.Command {
	o := statusOptions{timeout: durationFlag(30 * time.Second)}
	cmd := &cobra.Command{
		Use:   "status [ADDR]",
		Short: "Show what a running sluice does, live in the terminal",
		Long: `Show what a running sluice does, live in the terminal: the workers, the requests in
flight, the routes and the client keys that take most, the instances, and what is the
matter. ADDR is the --status address of "sluice serve": host:port or unix:/path.

With a configuration file there may be several applications; n shows the next one.

Without a terminal it prints the state once, as with --once. There are no colours if
the output is no terminal, or NO_COLOR is set.

Exit status: 0 if nothing is broken, 1 if something is (an instance cannot be connected
to or holds less than --workers, the application has stopped answering, its command keeps
ending, the authorizer or the fleet's engine cannot be connected to, a certificate has
expired, temporary files cannot be written, Sluice is ending), 2 if no sluice answers at
ADDR or the command line is invalid. Live, it is that of the last state when the page was
left.

--wait ready waits, for --timeout at most, until requests are served: Sluice answers and is
not ending, an instance can be connected to as far as is known, and a process is ready if
Sluice starts them. It prints nothing, and exits with 0; or says what is missing, and exits
with 1, or 2 if Sluice does not answer.`,
		Example: `  sluice status
  sluice status unix:/run/sluice-status.sock --once
  sluice status --wait ready --timeout 1m && echo deployed`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return errors.New("name one --status address: host:port or unix:/path")
			}
			return o.check()
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := statusSource(args)
			if err != nil {
				return err
			}
			source.Only(o.application)
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			return o.run(ctx, source, os.Stdin, os.Stdout)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&o.once, "once", false, "print the state once, and end")
	f.BoolVar(&o.json, "json", false, "print the JSON of the state once, and end")
	f.StringVar(&o.application, "application", "", "only the application with that `NAME` in the configuration file")
	f.StringVar(&o.wait, "wait", "", "wait until Sluice is `STATE`: ready")
	f.Var(positiveDuration{&o.timeout}, "timeout", "how long --wait waits, `TIME`")
	return cmd
}

func (o *statusOptions) check() error {
	switch {
	case o.wait != "" && o.wait != "ready":
		return fmt.Errorf("--wait %q: want ready", o.wait)
	case o.wait != "" && (o.once || o.json), o.once && o.json:
		return errors.New("--wait, --once and --json exclude each other")
	}
	return nil
}

// statusSource is the status listener that the arguments name.
func statusSource(args []string) (*watch.Source, error) {
	addr := defaultStatus
	if len(args) > 0 {
		addr = args[0]
	}
	if p := config.ProtocolOf(addr); p != "" && p != config.HTTP {
		return nil, fmt.Errorf("address %q: the status is served in HTTP: want host:port or unix:/path", addr)
	}
	place := addr
	if strings.Contains(addr, "://") {
		place = strings.TrimSuffix(addr, "/") // as a browser shows it
	}
	network, dial, err := config.ParseAddress(place)
	switch {
	case err != nil && !isUnix(addr):
		return nil, fmt.Errorf("address %q: want host:port or unix:/path, as in --status of \"sluice serve\"", addr)
	case err != nil:
		return nil, err
	}
	return watch.NewSource(addr, network, dial), nil
}

func (o *statusOptions) run(ctx context.Context, source *watch.Source, in, out *os.File) error {
	live := watch.IsTerminal(in) && watch.IsTerminal(out) && os.Getenv("TERM") != "dumb"
	switch {
	case o.wait != "":
		return waitReady(ctx, source, time.Duration(o.timeout))
	case o.json:
		state, text, err := source.Fetch(ctx)
		if err == nil {
			_, err = out.Write(text)
		}
		return statusExit(state, err)
	case o.once || !live:
		state, _, err := source.Fetch(ctx)
		if err == nil {
			err = watch.Once(out, source, state, watch.Width(out), colours(out))
		}
		return statusExit(state, err)
	}
	state, err := watch.Live(ctx, source, in, out, colours(out))
	return statusExit(state, err)
}

// colours reports whether the output is to have colours: see no-color.org.
func colours(out *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && watch.IsTerminal(out)
}

// statusExit is the exit status for a state.
func statusExit(state *watch.State, err error) error {
	switch {
	case err != nil:
		return &statusError{exitUnreachable, err}
	case state == nil:
		return &statusError{exitUnreachable, errors.New("there was no answer yet")}
	case state.Degraded():
		return &statusError{exitDegraded, nil}
	}
	return nil
}

// waitInterval is the time between two looks of --wait.
const waitInterval = 200 * time.Millisecond

// waitReady waits until requests are served.
func waitReady(ctx context.Context, source *watch.Source, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ticker := time.NewTicker(waitInterval)
	defer ticker.Stop()
	last := &statusError{exitUnreachable, errors.New("there was no answer")}
	for {
		state, _, err := source.Fetch(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			last = &statusError{exitUnreachable, err}
		case err == nil && state.NotReady() == "":
			return nil
		case err == nil:
			last = &statusError{exitDegraded, errors.New(state.NotReady())}
		}
		select {
		case <-ctx.Done():
			return &statusError{last.exit, fmt.Errorf("not ready after %v: %w", timeout, last.err)}
		case <-ticker.C:
		}
	}
}
