package demo

import (
	"net"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// A thread is free when its connection is closed and its request is over, whichever is first.
func TestThread(t *testing.T) {
	end := fcgi.AppendEndRequest(nil, 1, fcgi.EndRequest{})
	for _, closesFirst := range []bool{true, false} {
		near, far := net.Pipe()
		a := &app{}
		a.open.Store(1)
		c := &thread{Conn: near, app: a}
		go func() {
			_, _ = far.Write([]byte{1})
			_, _ = far.Read(make([]byte, len(end)))
			_ = far.Close()
		}()
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		steps := []func(){func() { _ = c.Close() }, func() { _, _ = c.Write(end) }}
		if !closesFirst {
			steps[0], steps[1] = steps[1], steps[0]
		}
		if steps[0](); a.open.Load() != 1 {
			t.Errorf("closes first %v: %d threads are taken", closesFirst, a.open.Load())
		}
		if steps[1](); a.open.Load() != 0 {
			t.Errorf("closes first %v: in the end %d threads are taken", closesFirst, a.open.Load())
		}
		if _ = c.Close(); a.open.Load() != 0 {
			t.Errorf("a thread is freed twice")
		}
	}
}
