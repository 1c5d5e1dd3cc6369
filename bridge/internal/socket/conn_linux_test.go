package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pair connects to a listener of a network.
func pair(t *testing.T, network string) (ours *Conn, theirs net.Conn) {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := Dial(t.Context(), network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if theirs, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	return nc.(*Conn), theirs
}

func eachNetwork(t *testing.T, test func(t *testing.T, ours *Conn, theirs net.Conn)) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			ours, theirs := pair(t, network)
			test(t, ours, theirs)
		})
	}
}

// What does not wait leaves the socket unknown to the poller.
func TestUnpolled(t *testing.T) {
	eachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		if _, err := theirs.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		raw, err := ours.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var b [10]byte
		n, failed := 0, error(syscall.EAGAIN)
		for failed == syscall.EAGAIN {
			if err := raw.Control(func(fd uintptr) { n, failed = Read(int(fd), b[:]) }); err != nil {
				t.Fatal(err)
			}
		}
		if failed != nil || string(b[:n]) != "hello" {
			t.Fatalf("%q, %v", b[:max(n, 0)], failed)
		}
		if err := raw.Control(func(fd uintptr) { n, failed = Read(int(fd), b[:]) }); err != nil || n != -1 || failed != syscall.EAGAIN {
			t.Errorf("%d, %v, %v, want EAGAIN", n, failed, err)
		}
		if err := raw.Control(func(fd uintptr) { n, failed = Write(int(fd), []byte("good bye")) }); err != nil || n != 8 || failed != nil {
			t.Errorf("%d, %v, %v", n, failed, err)
		}
		if err := ours.CloseWrite(); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(theirs); string(got) != "good bye" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if ours.file != nil {
			t.Error("the poller knows the socket")
		}
		if err := ours.Close(); err != nil {
			t.Error(err)
		}
		if err := raw.Control(func(uintptr) { t.Error("the descriptor of a closed socket was used") }); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want net.ErrClosed", err)
		}
		if err := ours.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want net.ErrClosed", err)
		}
	})
}

// It can be waited for as for a connection of package net.
func TestPolled(t *testing.T) {
	eachNetwork(t, func(t *testing.T, ours *Conn, theirs net.Conn) {
		var b [10]byte
		if err := ours.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if _, err := ours.Read(b[:]); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v, want a timeout", err)
		}
		if err := ours.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		defer both.Wait()
		both.Go(func() {
			time.Sleep(10 * time.Millisecond)
			_, _ = theirs.Write([]byte("hello"))
		})
		if n, err := ours.Read(b[:]); string(b[:n]) != "hello" || err != nil {
			t.Errorf("%q, %v", b[:n], err)
		}
		large := strings.Repeat("a", 8<<20) // more than there is room for
		both.Go(func() {
			_, _ = ours.Write([]byte(large))
			_ = ours.CloseWrite()
		})
		if got, err := io.ReadAll(theirs); string(got) != large || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		_ = theirs.Close()
		if n, err := ours.Read(b[:]); n != 0 || err != io.EOF {
			t.Errorf("%d bytes, %v, want io.EOF", n, err)
		}
		if _, err := ours.Write(b[:]); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%v, want EPIPE", err)
		}
	})
}

func TestCloseEndsWaits(t *testing.T) {
	eachNetwork(t, func(t *testing.T, ours *Conn, _ net.Conn) {
		raw, err := ours.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 2)
		go func() {
			_, err := ours.Read(make([]byte, 1))
			failed <- err
		}()
		go func() { failed <- raw.Read(func(uintptr) bool { return false }) }()
		time.Sleep(10 * time.Millisecond) // mostly they wait by then
		if err := ours.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-failed; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%v, want net.ErrClosed", err)
			}
		}
	})
}

// Errors are those of package net, word for word: users know them.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "stopped")})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for _, path := range []string{filepath.Join(dir, "missing"), file, l.Addr().String(), filepath.Join(dir, strings.Repeat("a", 200)), "@" + dir} {
		_, want := new(net.Dialer).DialContext(t.Context(), "unix", path)
		if _, err := Dial(t.Context(), "unix", path); err == nil || err.Error() != want.Error() {
			t.Errorf("%v, want %v", err, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	var timeout net.Error
	if _, err := Dial(ctx, "unix", file); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%v, want a timeout", err)
	}
}
