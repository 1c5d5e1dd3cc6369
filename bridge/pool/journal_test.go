package pool

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// An instance that goes down, comes back and is full says so, once each.
func TestJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		d := make(dialer)
		peer := fcgitest.Start(t, fcgitest.MuxOverloaded(1))
		p := newPool(t, Config{
			Instances: []Instance{{Addr: "app", Dial: d.dial}}, Workers: 2, IdleTimeout: time.Second,
			Logger:   slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
			OnOutage: func(addr string, err error) { fmt.Fprintf(&log, "%s: %v\n", addr, err) },
		})
		for range 3 {
			g := startLease(p)
			d <- dialed{err: errors.New("no route to host")}
			<-g.done
		}
		time.Sleep(5 * time.Second)
		connected := func() dialed {
			c, err := peer.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return dialed{conn: c}
		}
		first, second := startLease(p), startLease(p)
		d <- connected()
		d <- connected()
		for _, g := range []*leasing{first, second} {
			l := g.mustLease(t)
			p.foundFull(l.c.inst)
			l.Release()
		}
		time.Sleep(3 * time.Minute)
		want := []string{
			`level=WARN msg="the application cannot be connected to" error="no route to host" advice="see whether the application runs, and listens at this address" instance=app`,
			`app: dial app: no route to host`,
			`level=INFO msg="the application can be connected to again" after=5s instance=app`,
			`app: <nil>`,
			`level=WARN msg="the application is full with fewer connections than it has workers" connections=1 workers=2 advice="set workers (--workers) to what the application has, and see that nobody else uses it" instance=app`,
			`level=INFO msg="the application is trusted with all its workers again" workers=2 instance=app`,
		}
		if got := strings.TrimSpace(log.String()); got != strings.Join(want, "\n") {
			t.Errorf("log\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	})
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
