package main

import (
	"io"
	"net"
	"path/filepath"
	"testing"
)

// A connection beyond the threads is closed at once, and one that ends makes room.
func TestThreads(t *testing.T) {
	plain, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	l := withThreads(plain, 1)
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("unix", plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	first := <-accepted
	if _, err := dial().Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a connection without a thread: %v, want its end", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	dial()
	if second := <-accepted; second.Close() != nil {
		t.Error("the second connection was closed already")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	<-accepted
}
