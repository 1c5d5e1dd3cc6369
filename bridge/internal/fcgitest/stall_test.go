package fcgitest

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestSplitRead(t *testing.T) {
	for _, pause := range []time.Duration{0, time.Second} {
		everyByte(t, Fault{Kind: Split, For: pause}, func(t *testing.T, f Fault) {
			_, app, c := faulty(t, f)
			write(t, app, message)
			start := time.Now()
			if f.At > 0 {
				wantRead(t, c, message[:f.At], nil)
			}
			wantSince(t, start, 0)
			wantRead(t, c, message[f.At:], nil)
			wantSince(t, start, pause)
			write(t, app, message)
			wantRead(t, c, message, nil)
			wantSince(t, start, pause)
		})
	}
}

func TestSplitWrite(t *testing.T) {
	everyByte(t, Fault{Kind: Split, Direction: ToApp, For: time.Second}, func(t *testing.T, f Fault) {
		_, app, c := faulty(t, f)
		start := time.Now()
		go func() {
			write(t, c, message)
			write(t, c, message)
		}()
		if f.At > 0 {
			wantRead(t, app, message[:f.At], nil)
			wantSince(t, start, 0)
		}
		synctest.Wait()
		_ = app.SetReadDeadline(start.Add(time.Second - time.Nanosecond))
		wantRead(t, app, "", os.ErrDeadlineExceeded)
		_ = app.SetReadDeadline(time.Time{})
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		wantRead(t, app, message[f.At:]+message, nil)
		wantSince(t, start, time.Second)
	})
}

// A stall holds what comes; deadlines end the reads that wait, and move.
func TestStallRead(t *testing.T) {
	everyByte(t, Fault{Kind: Stall, For: 10 * time.Second}, func(t *testing.T, f Fault) {
		_, app, c := faulty(t, f)
		write(t, app, message)
		start := time.Now()
		if f.At > 0 {
			wantRead(t, c, message[:f.At], nil)
		}
		_ = c.SetReadDeadline(start.Add(time.Second))
		wantRead(t, c, "", os.ErrDeadlineExceeded)
		wantSince(t, start, time.Second)
		_ = c.SetReadDeadline(start.Add(time.Hour))
		time.AfterFunc(time.Second, func() { _ = c.SetReadDeadline(start.Add(3 * time.Second)) })
		wantRead(t, c, "", os.ErrDeadlineExceeded)
		wantSince(t, start, 3*time.Second)
		write(t, c, "the other direction is free")
		_ = c.SetReadDeadline(time.Time{})
		one := make([]byte, 1)
		if n, err := c.Read(one); n != 1 || err != nil || one[0] != message[f.At] {
			t.Errorf("Read = %q, %v", one[:n], err)
		}
		wantSince(t, start, 10*time.Second)
		if rest := message[f.At+1:]; rest != "" {
			wantRead(t, c, rest, nil)
		}
		app.Close()
		wantRead(t, c, "", syscall.ECONNRESET)
	})
}

func TestStallWrite(t *testing.T) {
	everyByte(t, Fault{Kind: Stall, Direction: ToApp, For: 10 * time.Second}, func(t *testing.T, f Fault) {
		_, app, c := faulty(t, f)
		start := time.Now()
		_ = c.SetWriteDeadline(start.Add(time.Second))
		n, err := c.Write([]byte(message))
		if n != f.At || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write = %d, %v, want %d and a timeout", n, err, f.At)
		}
		wantSince(t, start, time.Second)
		write(t, app, "the other direction is free")
		_ = c.SetWriteDeadline(time.Time{})
		write(t, c, message[f.At:])
		wantSince(t, start, 10*time.Second)
		wantRead(t, app, message, nil)
	})
}

// A stall without an end is ended by Close alone.
func TestStallForever(t *testing.T) {
	for _, direction := range []FaultDirection{FromApp, ToApp} {
		synctest.Test(t, func(t *testing.T) {
			_, app, c := faulty(t, Fault{Kind: Stall, Direction: direction})
			write(t, app, message)
			start := time.Now()
			time.AfterFunc(1000*time.Hour, func() { _ = c.Close() })
			var err error
			if direction == ToApp {
				_, err = c.Write([]byte(message))
			} else {
				_, err = c.Read(make([]byte, 1))
			}
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%v: %v, want net.ErrClosed", direction, err)
			}
			wantSince(t, start, 1000*time.Hour)
		})
	}
}
