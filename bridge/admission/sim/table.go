package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission/internal/sim"
)

// The table's dimensions.
var (
	tableLoads = []float64{0.3, 0.6, 0.8, 1.0, 1.2}
	// With four workers it matters most what is declared: a poll that is not known to
	// be one takes a quarter of them.
	tableSizes = []struct {
		policy  sim.Policy
		workers int
	}{{sim.Declared, 4}, {sim.Learned, 4}, {sim.Learned, 16}, {sim.Learned, 64}}
	// The rows. The gate as a plain queue does what its model does: see the tests.
	tablePolicies = []sim.Policy{sim.Unlimited, sim.FIFO, sim.Priority, sim.Split, sim.Declared, sim.Learned}
)

const (
	mainWorkers = 16
	mainLoad    = 0.6
	headlines   = 8 // scenarios of the table, the first of sim.Scenarios
)

var titles = map[sim.Policy]string{
	sim.Unlimited: "unlimited (nginx, Caddy)",
	sim.FIFO:      "FIFO, maxconn = W (HAProxy tuned)",
	sim.Priority:  "FIFO + priority class, told",
	sim.Split:     "static split 3/4 : 1/4, told",
	sim.Declared:  "lanes, polls declared",
	sim.Learned:   "lanes, learned from cold",
}

// report runs everything, prints the tables and draws them.
func report(c choice, out io.Writer, draw string) error {
	scenarios := sim.Scenarios()[:headlines]
	var options []sim.Options
	add := func(p sim.Policy, sc sim.Scenario, w int, load float64) int {
		o := sim.Options{Policy: p, Scenario: sc, Workers: w, Load: load, For: c.measured, Seed: c.seed}
		if w > mainWorkers { // as many requests in less time
			o.For = c.measured * mainWorkers / time.Duration(w)
		}
		for i, other := range options {
			if other.Policy == p && other.Scenario == sc && other.Workers == w && other.Load == load {
				return i
			}
		}
		options = append(options, o)
		return len(options) - 1
	}
	grid := func(rows, columns int, at func(row, column int) int) [][]int {
		g := make([][]int, rows)
		for i := range g {
			for j := range columns {
				g[i] = append(g[i], at(i, j))
			}
		}
		return g
	}
	policies := grid(len(tablePolicies), len(scenarios), func(i, j int) int {
		return add(tablePolicies[i], scenarios[j], mainWorkers, mainLoad)
	})
	loads := grid(len(tablePolicies), len(tableLoads), func(i, j int) int {
		return add(tablePolicies[i], scenario("tabs"), mainWorkers, tableLoads[j])
	})
	sizes := grid(len(tableSizes)*len(tableLoads), len(scenarios), func(i, j int) int {
		size := tableSizes[i/len(tableLoads)]
		return add(size.policy, scenarios[j], size.workers, tableLoads[i%len(tableLoads)])
	})
	outcomes := all(options, c.cpus)

	fmt.Fprintf(out, "Short requests answered within 1 s, %%. %d workers, load %g, %g s, seed %d.\n\n", mainWorkers, mainLoad, c.measured.Seconds(), c.seed)
	t := newTable(out)
	t.line("policy", titlesOf(scenarios)...)
	for i, row := range policies {
		t.line(titles[tablePolicies[i]], cells(row, outcomes, onTime)...)
	}
	t.end()

	fmt.Fprintf(out, "\nThe same runs: p50 and p99 of the wait for a worker.\n\n")
	t.line("policy", titlesOf(scenarios)...)
	for i, row := range policies {
		t.line(titles[tablePolicies[i]], cells(row, outcomes, func(o outcome) string { return wait(o.P50) + " / " + wait(o.P99) })...)
	}
	t.end()

	fmt.Fprintf(out, "\nThe same runs, tabs re-polling.\n\n")
	t.line("policy", "short/s", "refused", "longest queue", "polls done", "polls refused", "workers polls kept", "polls parked")
	for i, row := range policies {
		o := outcomes[row[1]]
		t.line(titles[tablePolicies[i]], fmt.Sprintf("%.0f", o.Throughput), fmt.Sprint(o.Refused), fmt.Sprint(o.MaxQueue), fmt.Sprint(o.Polls),
			fmt.Sprint(o.PollsLost), fmt.Sprintf("%.1f", o.PollSlots), fmt.Sprint(o.MaxParked))
	}
	t.end()

	fmt.Fprintf(out, "\nTabs re-polling, %d workers, by the load of the short requests.\n\n", mainWorkers)
	t.line("policy", texts(tableLoads)...)
	for i, row := range loads {
		t.line(titles[tablePolicies[i]], cells(row, outcomes, onTime)...)
	}
	t.end()

	fmt.Fprintf(out, "\nLanes, by the number of workers and the load.\n\n")
	t.line("policy, workers, load", titlesOf(scenarios)...)
	for i, row := range sizes {
		size := tableSizes[i/len(tableLoads)]
		t.line(fmt.Sprintf("%s, %d, %g", size.policy, size.workers, tableLoads[i%len(tableLoads)]), cells(row, outcomes, onTime)...)
	}
	t.end()

	var errs []error
	for _, o := range outcomes {
		if o.err != nil {
			errs = append(errs, o.describe())
		}
	}
	if draw != "" {
		errs = append(errs, drawAll(draw, scenarios, policies, loads, outcomes))
	}
	return errors.Join(errs...)
}

func scenario(name string) sim.Scenario {
	for _, s := range sim.Scenarios() {
		if s.Name == name {
			return s
		}
	}
	panic("no scenario " + name)
}

func onTime(o outcome) string { return fmt.Sprintf("%.1f", 100*o.OnTime) }

func wait(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func cells(row []int, outcomes []outcome, text func(outcome) string) []string {
	var c []string
	for _, i := range row {
		c = append(c, text(outcomes[i]))
	}
	return c
}

func titlesOf(scenarios []sim.Scenario) []string {
	var n []string
	for _, s := range scenarios {
		n = append(n, s.Title)
	}
	return n
}

func texts(values []float64) []string {
	var t []string
	for _, v := range values {
		t = append(t, fmt.Sprint(v))
	}
	return t
}

// table writes Markdown.
type table struct {
	w     *tabwriter.Writer
	lines int
}

func newTable(out io.Writer) *table {
	return &table{w: tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.Debug)}
}

func (t *table) line(first string, rest ...string) {
	write := func(first string, rest []string) {
		fmt.Fprintf(t.w, "| %s\t", first)
		for _, r := range rest {
			fmt.Fprintf(t.w, " %s\t", r)
		}
		fmt.Fprintln(t.w)
	}
	write(first, rest)
	if t.lines++; t.lines == 1 {
		rules := make([]string, len(rest))
		for i := range rules {
			rules[i] = "---"
		}
		write("---", rules)
	}
}

func (t *table) end() {
	t.w.Flush()
	t.lines = 0
}
