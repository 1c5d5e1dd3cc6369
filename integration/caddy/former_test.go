//go:build linux

package caddy

import (
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// A setting under its former name works, and the log tells the present one: once, whether it was
// written in a Caddyfile or in JSON.
func TestFormerNames(t *testing.T) {
	const told = "flow.limit is now called client.limit"
	s := start(t, "respond x")
	count := func() int {
		text, err := os.ReadFile(s.log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), told)
	}
	s.load("sluice 127.0.0.1:1 {\nflow {\nlimit 3\n}\n}")
	if n := count(); n != 1 {
		t.Errorf("told %d times of a Caddyfile", n)
	}
	handler := func(settings string) []byte {
		return []byte(`{"admin": {"listen": "` + strings.TrimPrefix(s.admin, "http://") + `", "config": {"persist": false}},
			"logging": {"logs": {"default": {"writer": {"output": "file", "filename": "` + s.log + `"}}}},
			"apps": {"http": {"servers": {"x": {"listen": ["` + strings.TrimPrefix(s.url, "http://") + `"], "automatic_https": {"disable": true},
			"routes": [{"handle": [{"handler": "sluice", "backends": ["127.0.0.1:1"], ` + settings + `}]}]}}}}}`)
	}
	if err := caddy.Load(handler(`"flow": {"limit": 3}`), true); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 2 {
		t.Errorf("told %d times of a Caddyfile and JSON", n)
	}
	if err := caddy.Load(handler(`"flow": {"limit": 3, "key": "cookie"}`), true); err == nil || !strings.Contains(err.Error(), `flow.key: is "cookie", and lacks`) {
		t.Error(err)
	}
}
