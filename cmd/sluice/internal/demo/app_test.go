package demo

import (
	"io"
	"net"
	"path/filepath"
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

// A connection that comes when a gate has closed another one is not too many, although the thread of that has not
// read its end. One that comes when all are open is.
func TestThreadThatHasNotNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{Listener: l}
	accepted := make(chan net.Conn, ThreadCount+1)
	go func() {
		defer close(accepted)
		for {
			c, err := a.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	first := dial()
	threads := []net.Conn{<-accepted}
	for range ThreadCount - 1 {
		dial()
		threads = append(threads, <-accepted)
	}
	_ = first.Close()
	another, away := dial(), make(chan error, 1)
	go func() {
		_, err := another.Read(make([]byte, 1))
		away <- err
	}()
	select {
	case c := <-accepted:
		threads = append(threads, c)
	case err := <-away:
		t.Fatalf("it is turned away: %v", err)
	}
	if n, most := a.turnedAway.Load(), a.most.Load(); n != 0 || most != ThreadCount {
		t.Errorf("%d were turned away, of %d", n, most)
	}
	if n, err := dial().Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("one too many has %d bytes, %v", n, err)
	}
	if n, most := a.turnedAway.Load(), a.most.Load(); n != 1 || most != ThreadCount+1 {
		t.Errorf("%d were turned away, of %d", n, most)
	}
	_ = l.Close()
	for _, c := range threads {
		_ = c.Close()
	}
	if n := a.open.Load(); n != 0 {
		t.Errorf("in the end %d threads are taken", n)
	}
}
