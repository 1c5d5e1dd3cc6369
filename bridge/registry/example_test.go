package registry_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/registry"
)

// A server that loads another configuration while it runs: the application is the same, and has
// its new settings when the old configuration is stopped.
func Example() {
	applications := registry.New(registry.Options{})
	defer applications.Close()

	load := func(workers int) (*registry.Configuration, *registry.Site) {
		c := applications.NewConfiguration(nil)
		user := &registry.User{Name: "site example.org", Log: slog.NewTextHandler(os.Stderr, nil)}
		site, err := c.Acquire(config.Config{Application: config.Application{Backends: []string{"unix:/run/app.sock"}, Workers: workers}}, bridge.SiteHooks{}, user)
		if err != nil {
			log.Fatal(err)
		}
		if err := c.Start(context.Background()); err != nil {
			log.Fatal(err)
		}
		return c, site // site.Handler() is the http.Handler
	}

	old, oldSite := load(4)
	next, nextSite := load(8)
	old.Stop() // nothing of the next can fail any more
	oldSite.Release()
	for _, app := range applications.Applications() {
		fmt.Println(app.Name(), app.Settings().Workers)
	}
	next.Stop()
	nextSite.Release()
	// Output: unix:/run/app.sock 8
}
