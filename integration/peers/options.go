package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

// options are what the command line says, validated.
type options struct {
	rounds      int
	duration    time.Duration
	connections int
	peers       []peer
	scenarios   []scenario
	out         string
}

// defaultScenarios leaves out the loads that would take the default run past
// three minutes.
const defaultScenarios = "small"

func parseOptions(args []string) (options, error) {
	var (
		opts             options
		peerList, ofLoad string
	)
	fs := flagSet(&opts, &peerList, &ofLoad)
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if opts.rounds < 1 {
		return options{}, fmt.Errorf("--rounds %d: at least 1 is needed", opts.rounds)
	}
	if opts.duration < time.Second || opts.duration%time.Second != 0 {
		return options{}, fmt.Errorf("--duration %v: wrk counts in whole seconds", opts.duration)
	}
	if opts.connections < 1 {
		return options{}, fmt.Errorf("--connections %d: at least 1 is needed", opts.connections)
	}
	var err error
	if opts.peers, err = pick("--peers", peerList, peers, peer.name); err != nil {
		return options{}, err
	}
	if opts.scenarios, err = pick("--scenarios", ofLoad, scenarios, scenario.name); err != nil {
		return options{}, err
	}
	return opts, nil
}

func flagSet(opts *options, peerList, ofLoad *string) *flag.FlagSet {
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, once
	fs.IntVar(&opts.rounds, "rounds", 5, "counted rounds; one more runs first to warm up")
	fs.DurationVar(&opts.duration, "duration", 4*time.Second, "how long each peer is under load in a round, in whole seconds")
	fs.IntVar(&opts.connections, "connections", 64, "client connections")
	fs.StringVar(peerList, "peers", strings.Join(names(peers, peer.name), ","), "proxies to measure, separated by commas")
	fs.StringVar(ofLoad, "scenarios", defaultScenarios, "loads to put on them: "+strings.Join(names(scenarios, scenario.name), ", "))
	fs.StringVar(&opts.out, "out", "", "also write the table (Markdown) to this file")
	return fs
}

func usage() string {
	var b strings.Builder
	b.WriteString("Measures Sluice beside other FastCGI proxies, in front of the same application.\n\nUsage: peers [flags]\n\n")
	var opts options
	var peerList, ofLoad string
	flagSet(&opts, &peerList, &ofLoad).VisitAll(func(f *flag.Flag) {
		fmt.Fprintf(&b, "  --%-12s %s", f.Name, f.Usage)
		if f.DefValue != "" {
			fmt.Fprintf(&b, " (default %s)", f.DefValue)
		}
		b.WriteString("\n")
	})
	return b.String()
}

// pick returns the values whose names the comma-separated list holds, in the
// order of the list.
func pick[T any](flagName, list string, all []T, name func(T) string) ([]T, error) {
	byName := make(map[string]T, len(all))
	for _, v := range all {
		byName[name(v)] = v
	}
	var picked []T
	seen := make(map[string]bool)
	for n := range strings.SplitSeq(list, ",") {
		v, ok := byName[n]
		if !ok {
			return nil, fmt.Errorf("%s: there is no %q, only %s", flagName, n, strings.Join(names(all, name), ", "))
		}
		if seen[n] {
			return nil, fmt.Errorf("%s: %q is there twice", flagName, n)
		}
		seen[n] = true
		picked = append(picked, v)
	}
	return picked, nil
}

func names[T any](all []T, name func(T) string) []string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = name(v)
	}
	return out
}
