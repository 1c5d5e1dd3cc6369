package demo

import (
	"net"
	"testing"
)

// A thread is free when its connection is closed and its request is over, whichever is first.
func TestThread(t *testing.T) {
	begin, end := []byte{1, 1, 0, 1, 0, 8, 0, 0}, []byte{1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, closesFirst := range []bool{true, false} {
		near, far := net.Pipe()
		a := &app{}
		a.open.Store(1)
		c := &thread{Conn: near, app: a}
		go func() {
			_, _ = far.Write(begin)
			_, _ = far.Read(make([]byte, len(end)))
			_ = far.Close()
		}()
		if _, err := c.Read(make([]byte, len(begin))); err != nil {
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

// A connection on which nothing but a query was sent has a thread until it is closed.
func TestThreadThatIsQueried(t *testing.T) {
	near, far := net.Pipe()
	a := &app{}
	a.open.Store(1)
	c := &thread{Conn: near, app: a}
	go func() { _, _ = far.Write([]byte{1, 9, 0, 0, 0, 17, 7, 0}) }()
	if _, err := c.Read(make([]byte, headerSize)); err != nil {
		t.Fatal(err)
	}
	if _ = c.Close(); a.open.Load() != 0 {
		t.Errorf("%d threads are taken", a.open.Load())
	}
}
