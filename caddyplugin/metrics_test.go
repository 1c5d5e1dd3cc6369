package caddyplugin

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/registry"
)

// What is not in use has no metrics, and what comes in its place has its own.
func TestMetricsOfOneThatComesBack(t *testing.T) {
	live() // its goroutine stays, and must not be the bubble's
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		defer cancel()
		var app App
		if err := app.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		if err := app.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = app.Stop() }()
		metrics := func(what string, want bool) {
			t.Helper()
			families, err := ctx.GetMetricsRegistry().Gather()
			ours := false
			for _, f := range families {
				ours = ours || strings.HasPrefix(f.GetName(), namespace)
			}
			if err != nil || ours != want {
				t.Errorf("an application that %s has metrics: %t, %v", what, ours, err)
			}
		}
		var earlier *registry.Application
		for _, workers := range []int{2, 7} {
			cfg := config.Config{Application: config.Application{Backends: []string{"unix:/nowhere/a"}, Workers: workers}}
			var handlers []*registry.Site
			for range 2 {
				site, err := app.configuration.Acquire(cfg, bridge.SiteHooks{}, &registry.User{Name: "handler", Log: slog.DiscardHandler})
				if err != nil {
					t.Fatal(err)
				}
				handlers = append(handlers, site)
			}
			list := applications.Applications()
			if len(list) != 1 || list[0] == earlier {
				t.Fatalf("%d applications, the earlier one: %t", len(list), list[0] == earlier)
			}
			earlier = list[0]
			handlers[0].Release()
			metrics("is in use", true)
			handlers[1].Release()
			metrics("is not in use", false)
			time.Sleep(time.Minute) // it is closed
			synctest.Wait()
		}
	})
}
