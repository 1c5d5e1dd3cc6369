package main

import (
	"errors"
	"fmt"
	"image/color"
	"path/filepath"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/sluice-proxy/sluice/bridge/admission/internal/sim"
)

// colours can be told apart without seeing red and green (Okabe and Ito).
var colours = []color.Color{
	color.RGBA{153, 153, 153, 255},
	color.RGBA{230, 159, 0, 255},
	color.RGBA{240, 228, 66, 255},
	color.RGBA{86, 180, 233, 255},
	color.RGBA{0, 158, 115, 255},
	color.RGBA{0, 114, 178, 255},
}

// draw writes the pictures into a directory.
func (p *plan) draw(dir string) error {
	return errors.Join(
		drawStall(filepath.Join(dir, "admission-stall.svg"), min(p.measured, 88*time.Second)),
		drawScenarios(filepath.Join(dir, "admission.svg"), p.scenarios, p.policies, p.outcomes),
		drawLoads(filepath.Join(dir, "admission-load.svg"), p.loads, p.outcomes),
	)
}

func newPlot(title, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Title.Padding = vg.Points(8)
	p.Y.Label.Text = y
	p.Y.Min, p.Y.Max = 0, 100
	p.Legend.Top = true
	p.Legend.ThumbnailWidth = vg.Points(14)
	p.Legend.Padding = vg.Points(2)
	p.BackgroundColor = color.White
	return p
}

// drawScenarios draws the main table, a group of bars for each scenario.
func drawScenarios(file string, scenarios []sim.Scenario, rows [][]int, outcomes []outcome) error {
	const bar = 11
	p := newPlot("Short requests answered within 1 s (16 workers, load 0.6)", "%")
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	p.Add(grid)
	for i, row := range rows {
		var values plotter.Values
		for _, j := range row {
			values = append(values, 100*outcomes[j].OnTime)
		}
		bars, err := plotter.NewBarChart(values, vg.Points(bar))
		if err != nil {
			return err
		}
		bars.Color = colours[i]
		bars.LineStyle.Width = 0
		bars.Offset = vg.Points(bar * (float64(i) - float64(len(rows)-1)/2))
		p.Add(bars)
		p.Legend.Add(titles[tablePolicies[i]], bars)
	}
	var labels []string
	for _, s := range scenarios {
		labels = append(labels, wrap(s.Title))
	}
	p.NominalX(labels...)
	p.Y.Max = 145 // the legend's place
	p.Y.Tick.Marker = percents
	p.X.Min, p.X.Max = -0.6, float64(len(scenarios))-0.4
	p.Legend.Left = true
	return p.Save(vg.Points(820), vg.Points(380), file)
}

// drawLoads draws a line for each policy.
func drawLoads(file string, rows [][]int, outcomes []outcome) error {
	p := newPlot("Tabs re-polling: short requests answered within 1 s (16 workers)", "%")
	p.X.Label.Text = "load of the short requests alone"
	p.Add(plotter.NewGrid())
	for i, row := range rows {
		var points plotter.XYs
		for j, k := range row {
			points = append(points, plotter.XY{X: tableLoads[j], Y: 100 * outcomes[k].OnTime})
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		line.Color, dots.Color = colours[i], colours[i]
		line.Width = vg.Points(2)
		if i == 0 { // other lines may hide it
			line.Width = vg.Points(5)
		}
		dots.Shape = draw.CircleGlyph{}
		p.Add(line, dots)
		p.Legend.Add(titles[tablePolicies[i]], line, dots)
	}
	p.Y.Max = 145
	p.Y.Tick.Marker = percents
	var ticks plot.ConstantTicks
	for _, l := range tableLoads {
		ticks = append(ticks, plot.Tick{Value: l, Label: fmt.Sprint(l)})
	}
	p.X.Tick.Marker = ticks
	p.X.Min, p.X.Max = 0.28, 1.22
	return p.Save(vg.Points(620), vg.Points(380), file)
}

// drawStall draws the answers of every second around the first stall.
func drawStall(file string, end time.Duration) error {
	p := newPlot("5 s stall, tabs re-polling: short requests answered within 1 s", "per second")
	p.X.Label.Text = "seconds from a cold start"
	p.Add(plotter.NewGrid())
	stall, err := plotter.NewPolygon(plotter.XYs{{X: 30, Y: 0}, {X: 35, Y: 0}, {X: 35, Y: 650}, {X: 30, Y: 650}})
	if err != nil {
		return err
	}
	stall.Color = color.RGBA{230, 230, 230, 255}
	stall.LineStyle.Width = 0
	p.Add(stall)
	p.Legend.Add("nothing in the application gets on", stall)
	for i, policy := range tablePolicies {
		if policy == sim.Declared || policy == sim.Unlimited { // they look like lanes that learn, and like FIFO
			continue
		}
		var points plotter.XYs
		_, err := sim.Run(sim.Options{
			Policy: policy, Scenario: scenario("stall"), Workers: mainWorkers, Load: mainLoad, For: end, Seed: 1,
			Trace: func(s sim.Second) { points = append(points, plotter.XY{X: s.At.Seconds(), Y: float64(s.OnTime)}) },
		})
		if err != nil {
			return err
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return err
		}
		line.Color = colours[i]
		line.Width = vg.Points(1.5)
		p.Add(line)
		p.Legend.Add(titles[policy], line)
	}
	p.X.Max, p.Y.Max = end.Seconds(), 950
	p.Y.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 200, Label: "200"}, {Value: 400, Label: "400"}, {Value: 600, Label: "600"}}
	return p.Save(vg.Points(620), vg.Points(380), file)
}

// percents has no ticks where the legend is.
var percents = plot.ConstantTicks{
	{Value: 0, Label: "0"},
	{Value: 20, Label: "20"},
	{Value: 40, Label: "40"},
	{Value: 60, Label: "60"},
	{Value: 80, Label: "80"},
	{Value: 100, Label: "100"},
}

// wrap breaks a title into lines that fit below a group of bars.
func wrap(title string) string {
	const width = 15
	var b strings.Builder
	n := 0
	for i, word := range strings.Fields(title) {
		switch {
		case i > 0 && n+1+len(word) > width:
			b.WriteByte('\n')
			n = 0
		case i > 0:
			b.WriteByte(' ')
			n++
		}
		b.WriteString(word)
		n += len(word)
	}
	return b.String()
}
