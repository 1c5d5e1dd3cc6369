package main

import (
	"flag"
	"fmt"
	"io"
	"strconv"
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
	parked      []int
	crowds      []crowd
	crowdFor    time.Duration
	docs        string
	all         bool
	baseline    string // the peer that ratios refer to
	out         string
}

// The defaults leave out what would take the default run past three minutes.
const (
	defaultScenarios = "small,large"
	defaultPeers     = "sluice-64,nginx,haproxy,caddy-sluice-64,caddy,caddy-respond"
)

// whole is what --all measures, but for what other flags say. It takes less than twenty minutes.
var whole = map[string]string{
	"rounds": "3", "duration": "2s",
	"peers":     "sluice-512,sluice-mux,nginx,haproxy,haproxy-mux,lighttpd,caddy-sluice-512,caddy,nginx-tls,caddy-sluice-tls,caddy-tls",
	"scenarios": "small-1,small,small-512,medium,large,upload",
	"parked":    "5000,15000",
	"crowds":    "starvation,session",
	"front":     "loop,net",
}

// setWhole sets the flags of whole that were not given.
func setWhole(fs *flag.FlagSet) error {
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range whole {
		if given[name] {
			continue
		}
		if err := fs.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

func parseOptions(args []string) (options, error) {
	var (
		opts  options
		lists lists
	)
	fs := flagSet(&opts, &lists)
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if opts.all {
		if err := setWhole(fs); err != nil {
			return options{}, err
		}
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
	if opts.peers, err = pick("--peers", lists.peers, peers, peer.name); err != nil {
		return options{}, err
	}
	if opts.scenarios, err = pick("--scenarios", lists.scenarios, scenarios, scenario.name); err != nil {
		return options{}, err
	}
	if _, err = pick("--baseline", opts.baseline, peers, peer.name); err != nil {
		return options{}, err
	}
	if lists.crowds != "" {
		if opts.crowds, err = pick("--crowds", lists.crowds, crowds, crowd.name); err != nil {
			return options{}, err
		}
	}
	if lists.fronts != "" {
		opts.peers = withFronts(opts.peers, strings.Split(lists.fronts, ","))
	}
	if opts.parked, err = counts("--parked", lists.parked); err != nil {
		return options{}, err
	}
	return opts, nil
}

// lists are flags whose values are separated by commas, as they are given.
type lists struct{ peers, scenarios, parked, crowds, fronts string }

func flagSet(opts *options, lists *lists) *flag.FlagSet {
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // main prints the error, once
	fs.IntVar(&opts.rounds, "rounds", 3, "counted rounds; one more runs first to warm up")
	fs.DurationVar(&opts.duration, "duration", 2*time.Second, "how long each peer is under load in a round, in whole seconds")
	fs.IntVar(&opts.connections, "connections", 64, "client connections")
	fs.StringVar(&lists.peers, "peers", defaultPeers, "proxies to measure, separated by commas: "+strings.Join(names(peers, peer.name), ", "))
	fs.StringVar(&opts.baseline, "baseline", nginx.label, "the proxy that ratios refer to")
	fs.StringVar(&lists.parked, "parked", "", "also measure the memory of so many long-polls, for example 2000,5000")
	fs.StringVar(&lists.crowds, "crowds", "", "also measure how many pages are answered in time beside: "+strings.Join(names(crowds, crowd.name), ", "))
	fs.BoolVar(&opts.all, "all", false, "measure everything that docs/benchmarks.md has, in less than twenty minutes")
	fs.DurationVar(&opts.crowdFor, "crowd-for", 6*time.Second, "how long pages are asked for beside a crowd")
	fs.StringVar(&lists.fronts, "front", "", "measure sluice once with each of these values of its flag --front, for example net,loop; default: with its own default")
	fs.StringVar(&opts.docs, "docs", "", "also write benchmarks.md and its pictures to this directory")
	fs.StringVar(&lists.scenarios, "scenarios", defaultScenarios, "loads to put on them: "+strings.Join(names(scenarios, scenario.name), ", "))
	fs.StringVar(&opts.out, "out", "", "also write the table (Markdown) to this file")
	return fs
}

func usage() string {
	var b strings.Builder
	b.WriteString("Measures Sluice beside other FastCGI proxies, in front of the same application.\n\nUsage: peers [flags]\n\n")
	var opts options
	flagSet(&opts, new(lists)).VisitAll(func(f *flag.Flag) {
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

// counts reads numbers separated by commas; there may be none.
func counts(flagName, list string) (numbers []int, err error) {
	if list == "" {
		return nil, nil
	}
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%s: %q is not a number of long-polls", flagName, word)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

func names[T any](all []T, name func(T) string) []string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = name(v)
	}
	return out
}
