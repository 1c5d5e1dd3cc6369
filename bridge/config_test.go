package bridge

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/spool"
)

func TestDefaults(t *testing.T) {
	c := Config{ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/run/app.sock"}}}
	site, err := c.complete()
	if err != nil {
		t.Fatal(err)
	}
	minute := Duration(time.Minute)
	if want := (ConnectionTimeouts{Dial: Duration(2 * time.Second), Send: minute, Authorizer: Duration(5 * time.Second), Idle: Duration(5 * time.Second)}); c.ApplicationConfig.Timeouts != want {
		t.Errorf("timeouts %+v, want %+v", c.ApplicationConfig.Timeouts, want)
	}
	if want := (TimeoutsConfig{FirstByte: minute, BetweenBytes: minute, Upgraded: Duration(10 * time.Minute), Abandoned: Duration(30 * time.Second), Client: minute}); site.Timeouts != want {
		t.Errorf("timeouts %+v, want %+v", site.Timeouts, want)
	}
	if c.Workers != 4 || site.MaxBody != 1<<30 || site.MaxParams != 64<<10 || site.MaxResponseHeader != 64<<10 || site.RequestBuffering != On ||
		c.Queue != (QueueConfig{Size: 256, LongSize: 10000, Timeout: Duration(3 * time.Second), LongTimeout: Duration(20 * time.Second)}) {
		t.Errorf("%+v %+v", c.ApplicationConfig, site)
	}
	if c.Spool != (SpoolConfig{Buffer: spool.DefaultBuffer, Memory: spool.DefaultMemory, Disk: spool.DefaultDisk}) {
		t.Errorf("%+v", c.Spool)
	}
}

// An error names the key.
func TestBadConfig(t *testing.T) {
	for key, cfg := range map[string]Config{
		"backends":              {ApplicationConfig: ApplicationConfig{Backends: []string{}}},
		"not-an-address":        {ApplicationConfig: ApplicationConfig{Backends: []string{"not-an-address"}}},
		"is named twice":        {ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/a", "unix//a"}}},
		"workers":               {ApplicationConfig: ApplicationConfig{Workers: -1}},
		"max_body":              {SiteConfig: SiteConfig{MaxBody: -1}},
		"max_params":            {SiteConfig: SiteConfig{MaxParams: -1}},
		"max_response_header":   {SiteConfig: SiteConfig{MaxResponseHeader: -1}},
		"request_buffering":     {SiteConfig: SiteConfig{RequestBuffering: "maybe"}},
		"max_upgraded":          {ApplicationConfig: ApplicationConfig{Workers: 4, MaxUpgraded: 3}},
		"queue.size":            {ApplicationConfig: ApplicationConfig{Queue: QueueConfig{Size: -1}}},
		"queue.timeout":         {ApplicationConfig: ApplicationConfig{Queue: QueueConfig{Timeout: -1}}},
		"timeouts.first_byte":   {SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{FirstByte: -1}}},
		"timeouts.abandoned":    {SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{Abandoned: -1}}},
		"/does/not/exist":       {ApplicationConfig: ApplicationConfig{Spool: SpoolConfig{Dir: "/does/not/exist"}}},
		"preset":                {ApplicationConfig: ApplicationConfig{Preset: "asp"}},
		"root":                  {ApplicationConfig: ApplicationConfig{Preset: "php"}},
		"trusted_proxies":       {SiteConfig: SiteConfig{TrustedProxies: []string{"everybody"}}},
		"timeouts.between_byte": {SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{BetweenBytes: -1}}},
	} {
		if cfg.Backends == nil {
			cfg.Backends = []string{"unix:/run/app.sock"}
		}
		b, err := New(t.Context(), cfg)
		if err == nil {
			b.Close()
			t.Errorf("%s: no error", key)
			continue
		}
		if !strings.Contains(strings.ToLower(err.Error()), key) {
			t.Errorf("%s: error %q does not name it", key, err)
		}
	}
}
