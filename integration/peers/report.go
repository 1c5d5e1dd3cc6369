package main

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"unicode/utf8"
)

// report is the whole result as Markdown whose columns line up as plain text.
func report(b *bench) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s/%s, %d cores; %s, %d connections; medians of %d rounds of %v.\n",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), b.wrk, b.opts.connections, b.opts.rounds, b.opts.duration)
	for _, s := range b.opts.scenarios {
		fmt.Fprintf(&out, "\n**%s**: %s\n\n", s.label, s.about)
		writeTable(&out, rows(b.entries, s, b.opts.baseline))
	}
	for i, n := range b.opts.parked {
		fmt.Fprintf(&out, "\n**%d parked long-polls**\n\n", n)
		writeTable(&out, parkedRows(b.entries, i, b.opts.baseline))
	}
	for _, c := range b.opts.crowds {
		fmt.Fprintf(&out, "\n**%s**: %s; pages at %d/s that were answered within %v\n\n", c.label, c.about, pagesPerSecond, onTime)
		writeTable(&out, crowdRows(b.entries, c))
	}
	out.WriteString("\n")
	for _, e := range b.entries {
		fmt.Fprintf(&out, "- %s: %s\n", e.peer.label, e.peer.about)
		if e.failed != nil {
			fmt.Fprintf(&out, "  Not measured: %v\n", e.failed)
		}
		for _, s := range b.opts.scenarios {
			if err := e.missed[s.label]; err != nil {
				fmt.Fprintf(&out, "  %s not measured: %v\n", s.label, err)
			}
		}
		for _, p := range e.parked {
			if p.failed != nil {
				fmt.Fprintf(&out, "  %d parked long-polls not measured: %v\n", p.polls, p.failed)
			}
		}
	}
	fmt.Fprintf(&out, `
"x" is the ratio to %s. CPU is user and system time per request: the proxy's whole process tree, and the application's.
The spread is the distance between the best and the worst round's requests/s, as a share of the median. Peak memory is
over the whole run; pages that a proxy's processes share are counted once per process.
`, b.opts.baseline)
	if len(b.opts.parked) > 0 {
		out.WriteString(aboutParked)
	}
	return out.String()
}

var heading = []string{"peer", "version", "requests/s", "x", "spread", "CPU us", "x", "p50 ms", "p99 ms", "errors", "app CPU us", "peak MiB"}

// rows is the table of one scenario, heading first.
func rows(entries []*entry, s scenario, baseline string) [][]string {
	var base []sample
	for _, e := range entries {
		if e.peer.label == baseline && e.failed == nil && e.missed[s.label] == nil {
			base = e.samples[s.label]
		}
	}
	out := [][]string{heading}
	for _, e := range entries {
		out = append(out, row(e, e.missed[s.label], e.samples[s.label], base))
	}
	return out
}

// row is one peer's line. Figures of a peer that failed on the way are not
// shown: they would be of fewer rounds than the others'.
func row(e *entry, missed error, got, base []sample) []string {
	version := e.version
	if version == "" {
		version = "-"
	}
	if e.failed != nil || missed != nil {
		cells := []string{e.peer.label, version, "missing"}
		for len(cells) < len(heading) {
			cells = append(cells, "-")
		}
		return cells
	}
	rate, cpu := median(got, sample.perSecond), median(got, sample.cpuMicros)
	var errs int64
	for _, s := range got {
		errs += s.errors()
	}
	return []string{
		e.peer.label,
		version,
		fmt.Sprintf("%.0f", rate),
		ratio(rate, median(base, sample.perSecond)),
		fmt.Sprintf("%.0f %%", 100*spread(got, sample.perSecond)),
		fmt.Sprintf("%.1f", cpu),
		ratio(cpu, median(base, sample.cpuMicros)),
		fmt.Sprintf("%.2f", median(got, sample.p50Millis)),
		fmt.Sprintf("%.2f", median(got, sample.p99Millis)),
		fmt.Sprintf("%d", errs),
		fmt.Sprintf("%.1f", median(got, sample.backendMicros)),
		fmt.Sprintf("%.0f", float64(e.peak)/(1<<20)),
	}
}

func ratio(value, base float64) string {
	if math.IsNaN(base) || base == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", value/base)
}

// writeTable writes Markdown: the first two columns to the left, figures to
// the right.
func writeTable(out *strings.Builder, rows [][]string) {
	const textColumns = 2
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, r := range rows {
		for i, cell := range r {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < textColumns {
				out.WriteString("| " + cell + pad + " ")
			} else {
				out.WriteString("| " + pad + cell + " ")
			}
		}
		out.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i, width := range widths {
			if i < textColumns {
				out.WriteString("|" + strings.Repeat("-", width+2))
			} else {
				out.WriteString("|" + strings.Repeat("-", width+1) + ":")
			}
		}
		out.WriteString("|\n")
	}
}
