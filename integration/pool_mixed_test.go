//go:build linux

package integration

import (
	"net/http"
	"testing"
	"time"
)

// The servers that neither turn away nor retire: every answer is its request's.
func TestMixedLoad(t *testing.T) {
	for name, backend := range map[string]func(testing.TB) backend{
		"uwsgi":   func(t testing.TB) backend { return startUWSGI(t, 4) },
		"perl":    func(t testing.TB) backend { return startPerl(t, 4) },
		"go":      func(t testing.TB) backend { be, _ := startGoApp(t, 4); return be },
		"libfcgi": func(t testing.TB) backend { return startLibfcgi(t, 4) },
	} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			be := backend(t)
			url, b := serveBridge(t, be.config())
			l := newLoad(t, url)
			l.callers(t, 16, func(caller, i int) question {
				switch (caller + i) % 8 {
				case 0:
					return l.echo(http.MethodPut, l.filler[:300_000])
				case 1, 2, 3:
					return l.echo(http.MethodPost, l.filler[:i%5000])
				}
				return l.echo(http.MethodGet, nil)
			}, func() { pause(t, lasting(2*time.Second, 20*time.Second)) })
			l.wantAllRight(t)
			t.Logf("%+v", b.Snapshot().Pool.Instances[0])
		})
	}
}
