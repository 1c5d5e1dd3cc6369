package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission/internal/sim"
)

func main() {
	if err := command(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "sim:", err)
		}
		os.Exit(1)
	}
}

// choice is what the flags leave to run.
type choice struct {
	policies  []sim.Policy
	scenarios []sim.Scenario
	workers   []int
	loads     []float64
	seeds     []uint64
	measured  time.Duration
	verbose   bool
	seed      uint64 // of the table
	cpus      int
}

func command(args []string, out io.Writer) error {
	var c choice
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	policies := flags.String("policy", "", "comma-separated: "+names(sim.Policies(), func(p sim.Policy) string { return string(p) }))
	scenarios := flags.String("scenario", "", "comma-separated, or all: "+names(sim.Scenarios(), func(s sim.Scenario) string { return s.Name }))
	workers := flags.String("workers", "16", "comma-separated numbers of workers")
	loads := flags.String("load", "0.6", "comma-separated: what the short requests alone would keep busy of the workers")
	seeds := flags.String("seed", "1", "comma-separated seeds")
	seconds := flags.Float64("seconds", 600, "virtual seconds that are measured")
	draw := flags.String("draw", "", "a directory to draw the table into")
	flags.BoolVar(&c.verbose, "v", false, "a line for every virtual second")
	flags.IntVar(&c.cpus, "cpus", runtime.NumCPU(), "how many runs at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c.measured = time.Duration(*seconds * float64(time.Second))
	var err error
	if c.seeds, err = list(*seeds, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }); err != nil {
		return err
	}
	c.seed = c.seeds[0]
	if *policies == "" && *scenarios == "" {
		return report(c, out, *draw)
	}
	if c.policies, err = pick(*policies, "policy", sim.Policies(), func(p sim.Policy) string { return string(p) }); err != nil {
		return err
	}
	if c.scenarios, err = pick(*scenarios, "scenario", sim.Scenarios(), func(s sim.Scenario) string { return s.Name }); err != nil {
		return err
	}
	if c.workers, err = list(*workers, strconv.Atoi); err != nil {
		return err
	}
	if c.loads, err = list(*loads, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }); err != nil {
		return err
	}
	return explore(c, out)
}

func names[T any](all []T, name func(T) string) string {
	var n []string
	for _, v := range all {
		n = append(n, name(v))
	}
	return strings.Join(n, ", ")
}

// pick returns those of all that text names; all, if it names none.
func pick[T any](text, what string, all []T, name func(T) string) ([]T, error) {
	if text == "" || text == "all" {
		return all, nil
	}
	var picked []T
	for n := range strings.SplitSeq(text, ",") {
		i := slices.IndexFunc(all, func(v T) bool { return name(v) == n })
		if i < 0 {
			return nil, fmt.Errorf("no %s %q: want %s", what, n, names(all, name))
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

func list[T any](text string, parse func(string) (T, error)) ([]T, error) {
	var l []T
	for s := range strings.SplitSeq(text, ",") {
		v, err := parse(s)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
	}
	return l, nil
}

// outcome is the result of one run.
type outcome struct {
	sim.Options
	sim.Result
	err  error
	took time.Duration
}

func (o *outcome) describe() error {
	return fmt.Errorf("%s, %s, %d workers, load %g, seed %d: %w", o.Scenario.Name, o.Policy, o.Workers, o.Load, o.Seed, o.err)
}

// all runs the options, several at once, and returns the outcomes in their order.
func all(options []sim.Options, cpus int) []outcome {
	outcomes := make([]outcome, len(options))
	// Long runs first, so that a short one ends last.
	order := make([]int, len(options))
	for i := range order {
		order[i] = i
	}
	size := func(i int) float64 { return float64(options[i].Workers) * options[i].Load }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(size(b), size(a)) })
	next := make(chan int)
	var wg sync.WaitGroup
	for range cpus {
		wg.Go(func() {
			for i := range next {
				began := time.Now()
				result, err := sim.Run(options[i])
				outcomes[i] = outcome{options[i], result, err, time.Since(began)}
			}
		})
	}
	for _, i := range order {
		next <- i
	}
	close(next)
	wg.Wait()
	return outcomes
}

func explore(c choice, out io.Writer) error {
	var options []sim.Options
	for _, w := range c.workers {
		for _, load := range c.loads {
			for _, scenario := range c.scenarios {
				for _, policy := range c.policies {
					for _, seed := range c.seeds {
						o := sim.Options{Policy: policy, Scenario: scenario, Workers: w, Load: load, For: c.measured, Seed: seed}
						if c.verbose {
							o.Trace = tracer(out)
						}
						options = append(options, o)
					}
				}
			}
		}
	}
	if c.verbose {
		c.cpus = 1
	}
	outcomes := all(options, c.cpus)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "scenario\tpolicy\tW\tload\tseed\ton time\tanswered\trefused\tp50\tp99\t/s\tpolls\tlost\tslots\tqueue\tparked\tlocked\tslow\tstalls\ttook\t")
	var errs []error
	for _, o := range outcomes {
		fmt.Fprintf(w, "%s\t%s\t%d\t%g\t%d\t%.2f%%\t%.2f%%\t%d\t%.1f ms\t%.1f ms\t%.0f\t%d\t%d\t%.1f\t%d\t%d\t%d\t%d\t%d\t%.1fs\t\n",
			o.Scenario.Name, o.Policy, o.Workers, o.Load, o.Seed, 100*o.OnTime, 100*o.Answered, o.Refused,
			1e3*o.P50.Seconds(), 1e3*o.P99.Seconds(), o.Throughput, o.Polls, o.PollsLost, o.PollSlots,
			o.MaxQueue, o.MaxParked, o.Locked, o.Slow, o.Stalls, o.took.Seconds())
		if o.err != nil {
			errs = append(errs, o.describe())
		}
	}
	return errors.Join(w.Flush(), errors.Join(errs...))
}

// tracer prints seconds.
func tracer(out io.Writer) func(sim.Second) {
	lines := 0
	return func(s sim.Second) {
		if lines%40 == 0 {
			fmt.Fprintln(out, "    t  came ontime  late refus | inuse polls  wait parked backlog | lng cap")
		}
		lines++
		mark := ""
		if s.Stalled {
			mark = "  stalled"
		}
		fmt.Fprintf(out, "%5.0f %5d %6d %5d %5d | %5d %5d %5d %6d %7d | %3d %3d  %s%s\n", s.At.Seconds(), s.Arrived, s.OnTime, s.Late, s.Refused,
			s.InUse, s.Polls, s.Waiting, s.Parked, s.Backlog, s.LongInUse, s.Cap, s.Gate, mark)
	}
}
