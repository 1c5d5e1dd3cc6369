package bridge

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestDefaults(t *testing.T) {
	c := Config{Backends: []string{"unix:/run/app.sock"}}
	if err := c.normalize(); err != nil {
		t.Fatal(err)
	}
	minute := Duration(time.Minute)
	want := TimeoutsConfig{
		Dial: Duration(2 * time.Second), Send: minute, FirstByte: minute, BetweenBytes: minute,
		Idle: Duration(5 * time.Second), Abandoned: Duration(30 * time.Second), Client: minute,
	}
	if c.Timeouts != want {
		t.Errorf("timeouts %+v, want %+v", c.Timeouts, want)
	}
	if c.Workers != 4 || c.MaxBody != 1<<30 || c.MaxParams != 64<<10 || c.MaxResponseHeader != 64<<10 ||
		c.RequestBuffering != On || c.Queue != (QueueConfig{Size: 256, LongSize: 10000, Timeout: Duration(3 * time.Second), LongTimeout: Duration(20 * time.Second)}) || c.Logger == nil {
		t.Errorf("%+v", c)
	}
}

// An error names the key.
func TestBadConfig(t *testing.T) {
	for key, cfg := range map[string]Config{
		"backends":              {Backends: []string{}},
		"not-an-address":        {Backends: []string{"not-an-address"}},
		"is named twice":        {Backends: []string{"unix:/a", "unix//a"}},
		"workers":               {Workers: -1},
		"max_body":              {MaxBody: -1},
		"max_params":            {MaxParams: -1},
		"max_response_header":   {MaxResponseHeader: -1},
		"request_buffering":     {RequestBuffering: "maybe"},
		"queue.size":            {Queue: QueueConfig{Size: -1}},
		"queue.timeout":         {Queue: QueueConfig{Timeout: -1}},
		"timeouts.first_byte":   {Timeouts: TimeoutsConfig{FirstByte: -1}},
		"timeouts.abandoned":    {Timeouts: TimeoutsConfig{Abandoned: -1}},
		"/does/not/exist":       {Spool: SpoolConfig{Dir: "/does/not/exist"}},
		"preset":                {Preset: "asp"},
		"root":                  {Preset: "php"},
		"trusted_proxies":       {TrustedProxies: []string{"everybody"}},
		"timeouts.between_byte": {Timeouts: TimeoutsConfig{BetweenBytes: -1}},
	} {
		if cfg.Backends == nil {
			cfg.Backends = []string{"unix:/run/app.sock"}
		}
		b, err := New(cfg)
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

func TestParseAddress(t *testing.T) {
	for s, want := range map[string][2]string{
		"unix:/run/app.sock": {"unix", "/run/app.sock"},
		"unix//run/app.sock": {"unix", "/run/app.sock"},
		"127.0.0.1:9000":     {"tcp", "127.0.0.1:9000"},
		"[::1]:9000":         {"tcp", "[::1]:9000"},
		"app.test:9000":      {"tcp", "app.test:9000"},
		":9000":              {"tcp", "127.0.0.1:9000"},
		"unix:/" + strings.Repeat("x", 102): {
			"unix", "/" + strings.Repeat("x", 102),
		},
	} {
		network, addr, err := ParseAddress(s)
		if err != nil || network != want[0] || addr != want[1] {
			t.Errorf("%s: %s %s, %v, want %v", s, network, addr, err, want)
		}
	}
	for _, s := range []string{
		"", "app", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:nonsense", "unix:", "unix:app.sock",
		"unix/app.sock", "/run/app.sock", "run/app.sock:1", "unix:/" + strings.Repeat("x", 103), "http://127.0.0.1:9000",
	} {
		if network, addr, err := ParseAddress(s); err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("%q: %s %s, %v, want an error that quotes it", s, network, addr, err)
		}
	}
}

func TestConfigAsJSON(t *testing.T) {
	const text = `{"backends":["unix:/run/app.sock"],"workers":16,"request_buffering":"off",` +
		`"queue":{"size":5,"timeout":"1.5s"},"timeouts":{"first_byte":"2m0s"}}`
	var c Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if time.Duration(c.Queue.Timeout) != 1500*time.Millisecond || time.Duration(c.Timeouts.FirstByte) != 2*time.Minute || c.RequestBuffering != Off {
		t.Errorf("%+v", c)
	}
	if back, err := json.Marshal(c); err != nil || string(back) != text {
		t.Errorf("%s, %v, want %s", back, err, text)
	}
	if err := json.Unmarshal([]byte(`{"queue":{"timeout":"soon"}}`), &c); err == nil || !strings.Contains(err.Error(), "soon") {
		t.Errorf("error %v does not quote the duration", err)
	}
}
