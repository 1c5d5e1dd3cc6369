package config

import (
	"strings"
	"testing"
)

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
