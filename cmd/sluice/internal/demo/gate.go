package demo

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/events"
	"github.com/sluice-proxy/sluice/bridge/fleet"
)

// settle is how long a request takes at most: it begins when a stall is over, and then is a long-poll
// or waits for the sessions before it. The fleet counts on it when a gate has ended.
const settle = 2*pollTime + time.Second

// The sockets of a fleet, in its directory. That of a gate's control connection has the gate's name.
const applicationSocket = "application"

func engineSocket(gate string) string { return gate + ".engine" }

// gateReport is what a gate tells the parent.
type gateReport struct {
	Line
	Used        int            `json:"used"` // workers
	Long        int            `json:"long"` // of them, by long requests
	Connections int            `json:"connections"`
	Fleet       fleet.State    `json:"fleet"`
	Events      []events.Event `json:"events"` // since the last report, the latest first
}

// RunGate serves as the gate whose control socket this is, at its standard input, until the parent ends.
func RunGate(control string) error {
	l, parent, err := enter(control)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, parent)
		os.Exit(0)
	}()
	dir, name := filepath.Split(control)
	app := settingsOfApplication()
	app.Backends = []string{"unix:" + filepath.Join(dir, applicationSocket)}
	app.Lanes = config.On
	app.Fleet = config.Fleet{
		Engine: "unix://" + filepath.Join(dir, engineSocket(name)), Application: "demo", Name: name,
		Gates: 2, Settle: config.Duration(settle), Forget: config.Duration(10 * time.Minute),
	}
	h, err := bridge.New(context.Background(), bridge.Config{
		ApplicationConfig: app, SiteConfig: settingsOfSite(),
		ApplicationHooks: bridge.ApplicationHooks{Logger: slog.New(slog.DiscardHandler)},
	})
	if err != nil {
		return err
	}
	go report(parent, (&reporter{app: h.Application()}).report)
	server := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout}
	return server.Serve(l)
}

// reporter makes the reports of a gate.
type reporter struct {
	app  *bridge.Application
	told time.Time // the last event
}

func (r *reporter) report() gateReport {
	b := r.app.QuickSnapshot()
	g := gateReport{Line: lineOf(&b), Used: b.Gate.InUse, Long: b.Gate.Long, Fleet: *b.Fleet}
	for _, in := range b.Pool.Instances {
		g.Connections += in.Dialing + in.Busy + in.Idle + in.AtWork + in.Closing
	}
	for _, e := range r.app.Events() {
		if !e.Time.After(r.told) {
			break
		}
		g.Events = append(g.Events, e)
	}
	if len(g.Events) > 0 {
		r.told = g.Events[0].Time
	}
	return g
}
