package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/spool"
)

// flagSetup is the configuration that a command line of serve means.
func flagSetup(t *testing.T, args ...string) *setup {
	t.Helper()
	o := parsed(t, args...)
	if len(o.Backends) == 0 {
		o.Backends = []string{"unix:/run/app.sock"}
	}
	if err := o.complete(nil); err != nil {
		t.Fatal(err)
	}
	c, err := newSetup(o.standalone(), o, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestConnections is how many connections there may be with so many files: never so many
// that, with the application's, temporary files, and the status's, there
// would be none left.
func TestConnections(t *testing.T) {
	for _, tt := range []struct {
		files   int
		args    []string
		most    int
		waiting int
	}{
		{1024, []string{"--backend", "a:1", "--workers", "16"}, 470, 58},
		{1024, []string{"--backend", "a:1", "--workers", "16", "--max-connections", "100"}, 100, 12},
		{1024, []string{"--backend", "a:1", "--workers", "16", "--max-connections", "470"}, 470, 58},
		{1024, []string{"--backend", "a:1", "--backend", "b:1", "--workers", "100"}, 224, 28},
		{1024, []string{"--preset", "php", "--root", "/srv", "--workers", "16"}, 235, 29},
		{1024, []string{"--preset", "php", "--root", "/srv", "--static=off", "--workers", "16"}, 470, 58},
		{20000, []string{"--backend", "a:1"}, 16384, 2048},
		{1 << 20, []string{"--backend", "a:1"}, 16384, 2048},
		{1 << 20, []string{"--backend", "a:1", "--max-connections", "500000"}, 500000, 62500},
	} {
		o := flagSetup(t, tt.args...)
		most, waiting, err := o.connections(tt.files)
		if err != nil || most != tt.most || waiting != tt.waiting {
			t.Errorf("%d files, %q: %d, %d, %v; want %d, %d", tt.files, tt.args, most, waiting, err, tt.most, tt.waiting)
		}
		each := 1
		if o.serveStatic() {
			each = 2
		}
		a := o.Applications[0]
		instances := len(a.Backends) + 1
		if used := each*most + waiting + a.Workers*instances + spool.DefaultFiles(tt.files) + statusConnections; used > tt.files {
			t.Errorf("%d files, %q: %d could be open", tt.files, tt.args, used)
		}
	}
}

func TestTooFewDescriptors(t *testing.T) {
	for _, tt := range []struct {
		files int
		args  []string
		want  string
	}{
		{256, []string{"--workers", "200"}, "this process may open 256 files, which is too few: 672 are for"},
		{1024, []string{"--max-connections", "1000"}, "max_connections: is 1000: this process may open 1024 files, and 491 connections"},
	} {
		if _, _, err := flagSetup(t, tt.args...).connections(tt.files); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "LimitNOFILE=") {
			t.Errorf("%d files, %q: %v, want %q", tt.files, tt.args, err, tt.want)
		}
	}
}

func TestProxies(t *testing.T) {
	is := proxies([]string{"192.0.2.1", "10.0.0.0/8", "2001:db8::1", "unix"})
	for text, want := range map[string]bool{"192.0.2.1": true, "192.0.2.2": false, "10.1.2.3": true, "2001:db8::1": true, "2001:db8::2": false} {
		if got := is(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if !is(netip.Addr{}) || proxies(nil)(netip.Addr{}) {
		t.Error("a unix socket is a proxy if, and only if, it is listed")
	}
}
