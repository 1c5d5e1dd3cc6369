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
		"fcgi://127.0.0.1:9000":   {"tcp", "127.0.0.1:9000"},
		"scgi://:4000":            {"tcp", "127.0.0.1:4000"},
		"uwsgi://[::1]:3031":      {"tcp", "[::1]:3031"},
		"fcgi+unix:/run/app.sock": {"unix", "/run/app.sock"},
		"scgi+unix:/run/app.sock": {"unix", "/run/app.sock"},
		"http://127.0.0.1:8000":   {"tcp", "127.0.0.1:8000"},
		"http+unix:/run/app.sock": {"unix", "/run/app.sock"},
		"unix:/a/scgi+unix:/b://": {"unix", "/a/scgi+unix:/b://"},
	} {
		network, addr, err := ParseAddress(s)
		if err != nil || network != want[0] || addr != want[1] {
			t.Errorf("%s: %s %s, %v, want %v", s, network, addr, err, want)
		}
	}
	for _, s := range []string{
		"", "app", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:nonsense", "unix:", "unix:app.sock",
		"unix/app.sock", "/run/app.sock", "run/app.sock:1", "unix:/" + strings.Repeat("x", 103), "https://127.0.0.1:9000",
		"http+unix//run/app.sock", "http://127.0.0.1:8000/", "fastcgi://127.0.0.1:9000", "SCGI://127.0.0.1:9000", "://127.0.0.1:9000", "+unix:/run/app.sock",
		"scgi://", "scgi://127.0.0.1", "scgi://127.0.0.1:4000/", "scgi://unix:/run/app.sock", "scgi:///run/app.sock",
		"scgi:127.0.0.1:4000", "scgi+unix:app.sock", "scgi+unix//run/app.sock", "unix+scgi:/run/app.sock",
	} {
		if network, addr, err := ParseAddress(s); err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("%q: %s %s, %v, want an error that quotes it", s, network, addr, err)
		}
	}
}

// Errors about the protocol name what there is.
func TestAddressErrors(t *testing.T) {
	for s, want := range map[string]string{
		"https://127.0.0.1:9000":    `there is no protocol "https": want fcgi, scgi, uwsgi or http, such as http+unix:/path or http://host:port`,
		"fastcgi+unix:/a":           `there is no protocol "fastcgi": want fcgi`,
		"scgi://unix:/run/app.sock": "for a unix socket write scgi+unix:/path",
		"nowhere":                   "want unix:/path or host:port; http+unix:/path and http://host:port name the protocol: fcgi, scgi, uwsgi or http",
	} {
		if _, _, err := ParseAddress(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", s, err, want)
		}
	}
}
