package unread

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/internal/socktest"
)

func mustWrite(t testing.TB, c net.Conn, n int) {
	t.Helper()
	if _, err := c.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t testing.TB, c net.Conn, n int) {
	t.Helper()
	if _, err := io.ReadFull(c, make([]byte, n)); err != nil {
		t.Fatal(err)
	}
}

// What was written and not read is counted to the byte, whoever else has written what.
func TestUnread(t *testing.T) {
	for _, l := range socktest.Kinds {
		t.Run(l.Name, func(t *testing.T) {
			near, far := l.Connect(t)
			c := Of(near)
			check := func(what string, want int) {
				t.Helper()
				n, err := c.Bytes()
				some, anyErr := c.Any()
				if err != nil || anyErr != nil || n != want || some != (want > 0) {
					t.Errorf("%s: %d, any: %v, %v, %v, want %d", what, n, some, err, anyErr, want)
				}
			}
			check("nothing written", 0)
			mustWrite(t, near, 16)
			check("one write", 16)
			mustWrite(t, near, 1000)
			check("two writes", 1016)
			mustRead(t, far, 8)
			check("a part of the first read", 1008)
			mustRead(t, far, 1000)
			check("all but 8 bytes read", 8)
			mustWrite(t, far, 500)
			check("the other direction does not count", 8)
			mustRead(t, far, 8)
			check("all read", 0)
			mustRead(t, near, 500)
		})
	}
}

// A unix socket that nobody has accepted holds what was written, and nobody can say how
// much.
func TestUnreadBeforeAccept(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	mustWrite(t, c, 100)
	if some, err := Of(c).Any(); err != nil || !some {
		t.Errorf("%v, %v, want something", some, err)
	}
	if n, err := Of(c).Bytes(); !errors.Is(err, ErrNotHere) {
		t.Errorf("%d, %v, want ErrNotHere", n, err)
	}
}

// Where the other side has closed, nothing of it is left to read.
func TestClosedByTheOtherSide(t *testing.T) {
	for _, l := range socktest.Kinds {
		t.Run(l.Name, func(t *testing.T) {
			near, far := l.Connect(t)
			mustWrite(t, near, 100)
			far.Close()
			if n, err := Of(near).Bytes(); n != 0 || err != nil && !errors.Is(err, ErrNotHere) {
				t.Errorf("%d, %v", n, err)
			}
		})
	}
}

func TestClosedByUs(t *testing.T) {
	for _, l := range socktest.Kinds {
		t.Run(l.Name, func(t *testing.T) {
			near, _ := l.Connect(t)
			c := Of(near)
			near.Close()
			if _, err := c.Any(); err == nil {
				t.Error("a closed connection is asked about")
			}
		})
	}
}

func TestNoSocket(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if Of(near) != nil {
		t.Error("a pipe is no socket")
	}
}

func BenchmarkAny(b *testing.B) {
	for _, l := range socktest.Kinds[:2] {
		b.Run(l.Name, func(b *testing.B) {
			near, _ := l.Connect(b)
			c := Of(near)
			b.ReportAllocs()
			for b.Loop() {
				if some, err := c.Any(); some || err != nil {
					b.Fatal(some, err)
				}
			}
		})
	}
}

func BenchmarkBytes(b *testing.B) {
	near, _ := socktest.Unix.Connect(b)
	mustWrite(b, near, 100)
	c := Of(near)
	b.ReportAllocs()
	for b.Loop() {
		if n, err := c.Bytes(); n != 100 || err != nil {
			b.Fatal(n, err)
		}
	}
}

// Whoever waits is told when all has been read, and not before.
func TestAwait(t *testing.T) {
	for _, l := range socktest.Kinds {
		t.Run(l.Name, func(t *testing.T) {
			near, far := l.Connect(t)
			c := Of(near)
			mustWrite(t, near, 100)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if err := c.Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want %v", err, context.DeadlineExceeded)
			}
			if err := c.AwaitUntil(time.Now().Add(10 * time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v, want %v", err, os.ErrDeadlineExceeded)
			}
			mustRead(t, far, 99)
			done := make(chan error)
			go func() { done <- c.Await(t.Context()) }()
			select {
			case err := <-done:
				t.Errorf("a byte is left, and %v", err)
			case <-time.After(10 * time.Millisecond):
			}
			mustRead(t, far, 1)
			if err := <-done; err != nil {
				t.Error(err)
			}
			mustWrite(t, near, 1) // the deadlines of the wait mean nothing any more
			mustRead(t, far, 1)
			if err := c.Await(t.Context()); err != nil {
				t.Error(err)
			}
			if err := c.AwaitUntil(time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			}
		})
	}
}

// The end of the connection, on either side, ends the wait.
func TestAwaitEnds(t *testing.T) {
	for _, l := range socktest.Kinds {
		for name, end := range map[string]func(near, far net.Conn){
			"ours":   func(near, _ net.Conn) { near.Close() },
			"theirs": func(_, far net.Conn) { far.Close() },
		} {
			t.Run(l.Name+"/"+name, func(t *testing.T) {
				near, far := l.Connect(t)
				mustWrite(t, near, 100)
				done := make(chan error)
				go func() { done <- Of(near).Await(t.Context()) }()
				end(near, far)
				if err := <-done; err == nil && name == "ours" {
					t.Error("all was read")
				}
			})
		}
	}
}
