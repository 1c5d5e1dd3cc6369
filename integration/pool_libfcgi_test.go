//go:build linux

package integration

import (
	"net/http"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// libfcgi waits two seconds for a connection that says nothing, and a program that
// locks its accept waits with it. Whatever the load does, nobody may wait for that.
func TestLibfcgiIsNeverSilent(t *testing.T) {
	for name, backend := range map[string]func(testing.TB) backend{
		"no lock":     func(t testing.TB) backend { return startLibfcgi(t, 4) },
		"accept lock": startLibfcgiAcceptLock,
		"accept lock, it is said": func(t testing.TB) backend {
			be := startLibfcgiAcceptLock(t)
			be.keepAlive = config.Off
			return be
		},
	} {
		t.Run(name, func(t *testing.T) {
			checkLeaks(t)
			const tooLong = 1500 * time.Millisecond // loose; a silence for the reason above takes 2 s
			be := backend(t)
			url, b := serveBridge(t, be.config())
			l := newLoad(t, url)
			for end := time.Now().Add(lasting(5*time.Second, 40*time.Second)); time.Now().Before(end); {
				l.callers(t, 16, func(caller, i int) question {
					if (caller+i)%2 == 0 {
						return l.echo(http.MethodGet, nil)
					}
					return l.echo(http.MethodPost, l.filler[:1000])
				}, func() { pause(t, 200*time.Millisecond) })
				// A few requests after a little idleness, and after enough for libfcgi
				// to have given up on a connection.
				for _, idle := range []time.Duration{10, 100, 300, 2100} {
					pause(t, idle*time.Millisecond)
					l.ask(t.Context(), l.echo(http.MethodPost, nil))
					l.ask(t.Context(), l.echo(http.MethodGet, nil))
				}
			}
			l.wantAllRight(t)
			if l.silence > tooLong {
				t.Errorf("nobody was answered for %v", l.silence)
			}
			t.Logf("%+v", b.Snapshot().Pool.Instances[0])
		})
	}
}
