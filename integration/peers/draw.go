package main

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// colours can be told apart without seeing red and green (Okabe and Ito).
var colours = []color.Color{
	color.RGBA{0, 114, 178, 255},
	color.RGBA{86, 180, 233, 255},
	color.RGBA{0, 158, 115, 255},
	color.RGBA{153, 153, 153, 255},
	color.RGBA{230, 159, 0, 255},
	color.RGBA{240, 228, 66, 255},
	color.RGBA{204, 121, 167, 255},
	color.RGBA{213, 94, 0, 255},
	color.RGBA{60, 60, 60, 255},
	color.RGBA{200, 200, 200, 255},
}

// bars is one peer's in a picture, a value for each group; NaN: none.
type bars struct {
	label  string
	values []float64
}

// draw writes the pictures of what was measured into dir.
func (b *bench) draw(dir string) error {
	loads, parked, crowds := b.figures()
	return errors.Join(
		drawBars(filepath.Join(dir, "benchmarks-cpu.svg"), "CPU per request, ratio to "+b.opts.baseline, "", names(b.opts.scenarios, scenario.name), loads),
		b.drawParked(dir, parked),
		b.drawCrowds(dir, crowds),
	)
}

func (b *bench) drawParked(dir string, rows []bars) error {
	if len(b.opts.parked) == 0 {
		return nil
	}
	var groups []string
	for _, n := range b.opts.parked {
		groups = append(groups, fmt.Sprintf("%d parked long-polls", n))
	}
	return drawBars(filepath.Join(dir, "benchmarks-parked.svg"), "Memory of a parked long-poll (PSS)", "KiB", groups, rows)
}

func (b *bench) drawCrowds(dir string, rows []bars) error {
	if len(b.opts.crowds) == 0 {
		return nil
	}
	return drawBars(filepath.Join(dir, "benchmarks-goodput.svg"), fmt.Sprintf("Pages answered within %v", onTime), "%", names(b.opts.crowds, crowd.name), rows)
}

// figures collects what the pictures show.
func (b *bench) figures() (loads, parked, crowds []bars) {
	for _, e := range b.running() {
		load, park, good := bars{label: e.peer.label}, bars{label: e.peer.label}, bars{label: e.peer.label}
		for _, s := range b.opts.scenarios {
			load.values = append(load.values, median(e.samples[s.label], sample.cpuMicros)/b.base(s))
		}
		for _, p := range e.parked {
			value := math.NaN()
			if p.failed == nil {
				value = p.perPoll(p.grown.proxy)
			}
			park.values = append(park.values, value)
		}
		for _, c := range b.opts.crowds {
			value := math.NaN()
			if got, ok := e.goodputs[c.label]; ok {
				value = 100 * got.share()
			}
			good.values = append(good.values, value)
		}
		loads, parked, crowds = append(loads, load), append(parked, park), append(crowds, good)
	}
	return loads, parked, crowds
}

// base is the baseline's CPU per request in microseconds, NaN if it was not measured.
func (b *bench) base(s scenario) float64 {
	for _, e := range b.running() {
		if e.peer.label == b.opts.baseline {
			return median(e.samples[s.label], sample.cpuMicros)
		}
	}
	return math.NaN()
}

// drawBars draws a group of bars for each of groups. Peers without a value are left out.
func drawBars(file, title, y string, groups []string, rows []bars) error {
	p := plot.New()
	p.Title.Text, p.Y.Label.Text = title, y
	p.Title.Padding = vg.Points(8)
	p.BackgroundColor = color.White
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.ThumbnailWidth = vg.Points(12)
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	p.Add(grid)
	var shown []bars
	most := 0.0
	for _, r := range rows {
		some := false
		for i, v := range r.values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				r.values[i] = 0
				continue
			}
			some, most = true, max(most, v)
		}
		if some {
			shown = append(shown, r)
		}
	}
	if len(shown) == 0 {
		return nil
	}
	width := 640 / float64(len(groups)*(len(shown)+1))
	for i, r := range shown {
		chart, err := plotter.NewBarChart(plotter.Values(r.values), vg.Points(width))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		chart.Color, chart.LineStyle.Width = colours[i%len(colours)], 0
		chart.Offset = vg.Points(width * (float64(i) - float64(len(shown)-1)/2))
		p.Add(chart)
		p.Legend.Add(r.label, chart)
	}
	p.NominalX(groups...)
	p.Y.Min, p.Y.Max = 0, most*(1.15+0.07*float64(len(shown))) // the legend's place
	p.X.Min, p.X.Max = -0.6, float64(len(groups))-0.4
	return p.Save(vg.Points(820), vg.Points(420), file)
}
