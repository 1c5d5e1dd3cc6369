package probe

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// watch keeps the rules that hold for every probe: see doc.go.
type watch struct {
	dial func(context.Context) (net.Conn, error)

	mu    sync.Mutex
	conns []*watchedConn
	open  int
	most  int
}

// watchedConn is one of the probe's connections.
type watchedConn struct {
	net.Conn
	watch         *watch
	began, spoken time.Time // spoken is zero before the first write
	closed        bool
}

func (w *watch) Dial(ctx context.Context) (net.Conn, error) {
	nc, err := w.dial(ctx)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &watchedConn{Conn: nc, watch: w, began: time.Now()}
	w.conns = append(w.conns, c)
	w.open++
	w.most = max(w.most, w.open)
	return c, nil
}

func (c *watchedConn) Write(b []byte) (int, error) {
	c.watch.mu.Lock()
	if c.spoken.IsZero() {
		c.spoken = time.Now()
	}
	c.watch.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *watchedConn) Close() error {
	c.watch.mu.Lock()
	if !c.closed {
		c.closed = true
		c.watch.open--
	}
	c.watch.mu.Unlock()
	return c.Conn.Close()
}

// check reports what was broken.
func (w *watch) check(t *testing.T, atMost int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.most > atMost {
		t.Errorf("%d connections at once, of at most %d", w.most, atMost)
	}
	for i, c := range w.conns {
		if !c.spoken.Equal(c.began) {
			t.Errorf("connection %d: silent from %v to %v", i+1, c.began, c.spoken)
		}
		if !c.closed {
			t.Errorf("connection %d was left open", i+1)
		}
	}
}
