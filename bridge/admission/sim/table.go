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
	tableSizes = []tableSize{{sim.Declared, 4}, {sim.Learned, 4}, {sim.Learned, 16}, {sim.Learned, 64}}
	// The rows. The gate as a plain queue does what its model does: see the tests.
	tablePolicies = []sim.Policy{sim.Unlimited, sim.FIFO, sim.Priority, sim.Split, sim.Declared, sim.Learned}
)

type tableSize struct {
	policy  sim.Policy
	workers int
}

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

// plan is what the tables and pictures are made from: the runs, each once, and for each cell the
// run that it shows.
type plan struct {
	choice
	scenarios []sim.Scenario
	options   []sim.Options
	outcomes  []outcome

	policies, loads, sizes [][]int // rows of indices
}

// report runs everything, prints the tables and draws them.
func report(c choice, out io.Writer, draw string) error {
	p := &plan{choice: c, scenarios: sim.Scenarios()[:headlines]}
	p.policies = grid(len(tablePolicies), len(p.scenarios), func(i, j int) int {
		return p.add(tablePolicies[i], p.scenarios[j], mainWorkers, mainLoad)
	})
	p.loads = grid(len(tablePolicies), len(tableLoads), func(i, j int) int {
		return p.add(tablePolicies[i], scenario("tabs"), mainWorkers, tableLoads[j])
	})
	p.sizes = grid(len(tableSizes)*len(tableLoads), len(p.scenarios), func(i, j int) int {
		size, load := sizeOf(i)
		return p.add(size.policy, p.scenarios[j], size.workers, load)
	})
	p.outcomes = all(p.options, c.cpus)
	p.print(out)
	var errs []error
	for _, o := range p.outcomes {
		if o.err != nil {
			errs = append(errs, o.describe())
		}
	}
	if draw != "" {
		errs = append(errs, p.draw(draw))
	}
	return errors.Join(errs...)
}

// add returns the index of a run, which it adds unless there is one like it.
func (p *plan) add(policy sim.Policy, sc sim.Scenario, workers int, load float64) int {
	for i, o := range p.options {
		if o.Policy == policy && o.Scenario == sc && o.Workers == workers && o.Load == load {
			return i
		}
	}
	measured := p.measured
	if workers > mainWorkers { // as many requests, in less time
		measured = measured * mainWorkers / time.Duration(workers)
	}
	p.options = append(p.options, sim.Options{Policy: policy, Scenario: sc, Workers: workers, Load: load, For: measured, Seed: p.seed})
	return len(p.options) - 1
}

func grid(rows, columns int, at func(row, column int) int) [][]int {
	g := make([][]int, rows)
	for i := range g {
		for j := range columns {
			g[i] = append(g[i], at(i, j))
		}
	}
	return g
}

func sizeOf(row int) (tableSize, float64) {
	return tableSizes[row/len(tableLoads)], tableLoads[row%len(tableLoads)]
}

func (p *plan) print(out io.Writer) {
	var titlesOf []string
	for _, s := range p.scenarios {
		titlesOf = append(titlesOf, s.Title)
	}
	var loadsOf []string
	for _, l := range tableLoads {
		loadsOf = append(loadsOf, fmt.Sprint(l))
	}
	t := &table{w: tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.Debug)}

	fmt.Fprintf(out, "Short requests answered within 1 s, %%. %d workers, load %g, %g s, seed %d.\n\n", mainWorkers, mainLoad, p.measured.Seconds(), p.seed)
	t.line("policy", titlesOf...)
	for i, row := range p.policies {
		t.line(titles[tablePolicies[i]], p.cells(row, onTime)...)
	}
	t.end()

	fmt.Fprintf(out, "\nThe same runs: p50 and p99 of the wait for a worker.\n\n")
	t.line("policy", titlesOf...)
	for i, row := range p.policies {
		t.line(titles[tablePolicies[i]], p.cells(row, waits)...)
	}
	t.end()

	fmt.Fprintf(out, "\nThe same runs, tabs re-polling.\n\n")
	t.line("policy", "short/s", "refused", "longest queue", "polls done", "polls refused or left", "workers polls kept", "polls parked")
	for i, row := range p.policies {
		o := p.outcomes[row[1]]
		t.line(titles[tablePolicies[i]], fmt.Sprintf("%.0f", o.Throughput), fmt.Sprint(o.Refused), fmt.Sprint(o.MaxQueue), fmt.Sprint(o.Polls),
			fmt.Sprint(o.PollsLost), fmt.Sprintf("%.1f", o.PollSlots), fmt.Sprint(o.MaxParked))
	}
	t.end()

	fmt.Fprintf(out, "\nTabs re-polling, %d workers, by the load of the short requests.\n\n", mainWorkers)
	t.line("policy", loadsOf...)
	for i, row := range p.loads {
		t.line(titles[tablePolicies[i]], p.cells(row, onTime)...)
	}
	t.end()

	fmt.Fprintf(out, "\nLanes, by the number of workers and the load.\n\n")
	t.line("policy, workers, load", titlesOf...)
	for i, row := range p.sizes {
		size, load := sizeOf(i)
		t.line(fmt.Sprintf("%s, %d, %g", size.policy, size.workers, load), p.cells(row, onTime)...)
	}
	t.end()
}

func (p *plan) cells(row []int, text func(outcome) string) []string {
	var c []string
	for _, i := range row {
		c = append(c, text(p.outcomes[i]))
	}
	return c
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

func waits(o outcome) string { return wait(o.P50) + " / " + wait(o.P99) }

func wait(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// table writes Markdown.
type table struct {
	w     *tabwriter.Writer
	lines int
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
