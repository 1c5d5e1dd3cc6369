package fcgitest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// onBoth runs f on a pair of connections in memory and on a pair of unix sockets,
// so that the one is checked against the other.
func onBoth(t *testing.T, f func(t *testing.T, a, b net.Conn)) {
	t.Run("memory", func(t *testing.T) {
		a, b := Pipe()
		defer a.Close()
		defer b.Close()
		f(t, a, b)
	})
	t.Run("unix", func(t *testing.T) {
		ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		a, err := net.Dial("unix", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		b, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		f(t, a, b)
	})
}

// wantRead reads once.
func wantRead(t *testing.T, c net.Conn, text string, want error) {
	t.Helper()
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	if string(buf[:n]) != text || !errors.Is(err, want) {
		t.Errorf("Read %q, %v, want %q, %v", buf[:n], err, text, want)
	}
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("Write of %q = %d, %v", text, n, err)
	}
}

func TestCloseAfterReading(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b net.Conn) {
		write(t, a, "request")
		wantRead(t, b, "request", nil)
		write(t, b, "answer")
		b.Close()
		wantRead(t, a, "answer", nil)
		wantRead(t, a, "", io.EOF)
		wantRead(t, a, "", io.EOF)
		if n, err := a.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write = %d, %v, want EPIPE", n, err)
		}
	})
}

func TestCloseWithBytesUnread(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b net.Conn) {
		write(t, b, "answer")
		write(t, a, "request")
		b.Close()
		wantRead(t, a, "answer", nil)
		wantRead(t, a, "", syscall.ECONNRESET)
		wantRead(t, a, "", io.EOF)
		if n, err := a.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write = %d, %v, want EPIPE", n, err)
		}
	})
}

func TestCloseEndsWaitingWrite(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b net.Conn) {
		done := make(chan error, 1)
		go func() {
			_, err := a.Write(make([]byte, 10*bufferSize))
			done <- err
		}()
		if _, err := io.ReadFull(b, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		b.Close()
		if err := <-done; !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("error %v, want EPIPE", err)
		}
	})
}

func TestHalfClose(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b net.Conn) {
		write(t, a, "request")
		if err := a.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		wantRead(t, b, "request", nil)
		wantRead(t, b, "", io.EOF)
		write(t, b, "answer")
		wantRead(t, a, "answer", nil)
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write: %v, want EPIPE", err)
		}
	})
}

func TestUseAfterClose(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b net.Conn) {
		write(t, b, "answer")
		a.Close()
		wantRead(t, a, "", net.ErrClosed)
		_, err := a.Write([]byte("x"))
		for _, err := range []error{err, a.Close(), a.SetDeadline(time.Now())} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("error %v, want net.ErrClosed", err)
			}
		}
	})
}

// A deadline that has passed comes before data, and goes away when it is moved.
func TestPassedDeadline(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b net.Conn) {
		write(t, b, "answer")
		if err := a.SetDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		wantRead(t, a, "", os.ErrDeadlineExceeded)
		_, err := a.Write([]byte("x"))
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("Write: %v, want a timeout", err)
		}
		if err := a.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		wantRead(t, a, "answer", nil)
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		defer a.Close()
		defer b.Close()
		started := time.Now()
		if err := a.SetDeadline(started.Add(3 * time.Second)); err != nil {
			t.Fatal(err)
		}
		wantRead(t, a, "", os.ErrDeadlineExceeded)
		n, err := a.Write(make([]byte, 10))
		if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(started) != 3*time.Second {
			t.Errorf("Write = %d, %v after %v", n, err, time.Since(started))
		}
		// Moved while somebody waits.
		if err := a.SetDeadline(started.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { _ = a.SetDeadline(started.Add(7 * time.Second)) })
		n, err = a.Write(make([]byte, bufferSize+10))
		if n != bufferSize || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(started) != 7*time.Second {
			t.Errorf("Write = %d, %v after %v", n, err, time.Since(started))
		}
	})
}

func TestBacklog(t *testing.T) {
	ln := Listen(2)
	for i := range 3 {
		c, err := ln.Dial(context.Background())
		if err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
		defer c.Close()
	}
	if _, err := ln.Dial(context.Background()); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("connection 4: %v, want EAGAIN", err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	queued, err := ln.Dial(context.Background())
	if err != nil {
		t.Fatalf("after an Accept: %v", err)
	}
	ln.Close()
	wantRead(t, queued, "", io.EOF)
	queued.Close()
	if _, err := ln.Dial(context.Background()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after Close: %v, want ECONNREFUSED", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v, want net.ErrClosed", err)
	}
}
