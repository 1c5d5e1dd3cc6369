package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/probe"
)

func probeCommand() *cobra.Command {
	var o probeOptions
	cmd := &cobra.Command{
		Use:   "probe ADDR",
		Short: "Find out what a running FastCGI application can do",
		Long: `Find out what a running FastCGI application can do: whether it keeps connections,
how many it holds and what it does with one more, whether it multiplexes, which
processes it consists of, and how long its accept queue is. At the end it prints a
command line for "sluice serve". ADDR is the application's address: unix:/path or
host:port.

The probe sends GET requests for --path, one on each connection; any answer is
sufficient. While it measures the capacity, its connections occupy all workers for
a moment, and other clients wait. --max bounds the connections, --timeout the probe.

--workers, --keep-alive and --multiplex are flags of "sluice serve": their values
are compared with the results.`,
		Example: `  sluice probe unix:/run/trac.sock
  sluice probe 127.0.0.1:9000 --script /srv/wiki/index.php --workers 64`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name the one application to probe: unix:/path or host:port")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			cfg, err := o.config(args[0])
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return o.run(ctx, cfg, cmd.OutOrStdout())
		},
	}
	o.register(cmd.Flags())
	return cmd
}

// probeOptions holds the flags of probe.
type probeOptions struct {
	path, script string
	max          int
	timeout      durationFlag
	settings     probe.Settings
	json         bool
}

func (o *probeOptions) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.path, "path", probe.DefaultPath, "the `PATH` to ask for, a cheap page; a query may follow")
	f.StringVar(&o.script, "script", "", "the `FILE` that PHP or fcgiwrap is to run, as they see it")
	f.IntVar(&o.max, "max", probe.DefaultMax, "open at most this many connections at once")
	o.timeout = durationFlag(probe.DefaultTimeout)
	f.Var(positiveDuration{&o.timeout}, "timeout", "end after this `TIME`, with what is known by then")
	f.IntVar(&o.settings.Workers, "workers", 0, "compare with --workers of serve")
	f.StringVar(&o.settings.KeepAlive, "keep-alive", "", "compare with --keep-alive of serve: auto, on or off")
	f.StringVar(&o.settings.Multiplex, "multiplex", "", "compare with --multiplex of serve: auto, on or off")
	f.BoolVar(&o.json, "json", false, "print JSON")
}

// check makes the checks that the flag parser and package probe cannot make.
func (o *probeOptions) check(f *pflag.FlagSet) error {
	s := o.settings
	switch {
	case o.max < 1:
		return fmt.Errorf("--max %d: want at least 1", o.max)
	case s.Workers < 1 && f.Changed("workers"):
		return fmt.Errorf("--workers %d: want at least 1", s.Workers)
	case !slices.Contains([]string{"", "auto", "on", "off"}, s.KeepAlive):
		return fmt.Errorf("--keep-alive %q: want auto, on or off", s.KeepAlive)
	case !slices.Contains([]string{"", "auto", "on", "off"}, s.Multiplex):
		return fmt.Errorf("--multiplex %q: want auto, on or off", s.Multiplex)
	}
	return nil
}

func (o *probeOptions) config(addr string) (probe.Config, error) {
	network, dial, err := config.ParseAddress(addr)
	if err != nil {
		return probe.Config{}, err
	}
	if p := config.ProtocolOf(addr); p != "" && p != config.FastCGI {
		return probe.Config{}, fmt.Errorf("address %q: sluice probe measures FastCGI only, not %s: --workers is the number of threads or processes that the application has", addr, p)
	}
	cfg := probe.Config{
		Address: addr, Network: network, Addr: dial,
		Path: o.path, Script: o.script, Max: o.max, Timeout: time.Duration(o.timeout),
	}
	return cfg, cfg.Check()
}

// run probes the application and prints the results.
func (o *probeOptions) run(ctx context.Context, cfg probe.Config, out io.Writer) error {
	report, err := probe.Run(ctx, cfg)
	switch {
	case ctx.Err() != nil:
		return &runError{errors.New("probe: interrupted")}
	case err != nil:
		return &runError{err}
	}
	advice := report.Advise(o.settings)
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return failure(e.Encode(probeResult{report, advice, serveLine(cfg, advice), spawnLine(advice)}))
	}
	var text bytes.Buffer
	printReport(&text, cfg, report, advice)
	return write(out, text.Bytes(), nil)
}

// printReport writes the results as people read them.
func printReport(out *bytes.Buffer, cfg probe.Config, report *probe.Report, advice probe.Advice) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range report.Rows() {
		fmt.Fprintf(table, "%s\t%s\n", row.Name, row.Text)
	}
	_ = table.Flush() // a buffer takes all
	for _, w := range advice.Warnings {
		fmt.Fprintf(out, "\nwarning: %s\n", w)
	}
	fmt.Fprintf(out, "\n%s\n", serveLine(cfg, advice))
	if advice.Preset != "" && cfg.Script == "" {
		fmt.Fprintf(out, "\nReplace %s by the directory of the scripts; --script FILE names one of them for the probe.\n", unknownRoot)
	}
	if line := spawnLine(advice); line != "" {
		fmt.Fprintf(out, "\nThe application serves one request at a time. Sluice can start several such processes, each with a socket of its own:\n\n%s\n", line)
	}
}

// probeResult is the output of --json.
type probeResult struct {
	*probe.Report
	Advice  probe.Advice `json:"advice"`
	Command string       `json:"command"`
	Spawn   string       `json:"spawn_command,omitempty"` // starts several processes
}
