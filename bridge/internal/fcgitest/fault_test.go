package fcgitest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const message = "0123456789"

// faulty returns a client's end with the fault in it, and the application's.
func faulty(t *testing.T, f Fault) (client, app *Conn, faulty net.Conn) {
	t.Helper()
	client, app = Pipe()
	c, err := f.Dial(func(context.Context) (net.Conn, error) { return client, nil })(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), app.Close() })
	return client, app, c
}

// everyByte runs test in a bubble with a fault at each byte of message.
func everyByte(t *testing.T, f Fault, test func(t *testing.T, f Fault)) {
	for f.At = range message {
		t.Run(f.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, f) })
		})
	}
}

// after reports what reads give once the fault has broken a connection.
func (k FaultKind) after() []error {
	if k == Reset {
		return []error{syscall.ECONNRESET, io.EOF, io.EOF}
	}
	return []error{io.EOF, io.EOF}
}

func TestFaultBreaksRead(t *testing.T) {
	for _, kind := range []FaultKind{Cut, Reset} {
		everyByte(t, Fault{Kind: kind}, func(t *testing.T, f Fault) {
			_, app, c := faulty(t, f)
			write(t, c, "request")
			write(t, app, message)
			if f.At > 0 {
				wantRead(t, c, message[:f.At], nil)
			}
			write(t, c, "more") // nothing has happened until the byte comes
			for _, want := range kind.after() {
				if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
					t.Errorf("Read = %d, %v, want %v", n, err, want)
				}
			}
			if n, err := c.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.EPIPE) {
				t.Errorf("Write = %d, %v, want EPIPE", n, err)
			}
			if err := c.SetDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Errorf("SetDeadline: %v", err)
			}
			wantRead(t, app, "requestmore", nil)
			for _, err := range kind.after() {
				wantRead(t, app, "", err)
			}
			wantClosesOnce(t, c)
		})
	}
}

func TestFaultBreaksWrite(t *testing.T) {
	for _, kind := range []FaultKind{Cut, Reset} {
		everyByte(t, Fault{Kind: kind, Direction: ToApp}, func(t *testing.T, f Fault) {
			_, app, c := faulty(t, f)
			for i := range f.At {
				write(t, c, message[i:i+1])
			}
			if n, err := c.Write([]byte("xyz")); n != 0 || !errors.Is(err, syscall.EPIPE) {
				t.Errorf("Write = %d, %v, want EPIPE", n, err)
			}
			if f.At > 0 {
				wantRead(t, app, message[:f.At], nil)
			}
			for _, err := range kind.after() {
				wantRead(t, app, "", err)
			}
			for _, err := range kind.after() {
				wantRead(t, c, "", err)
			}
			wantClosesOnce(t, c)
		})
	}
}

// What a write has before the fault's byte passes.
func TestFaultInWrite(t *testing.T) {
	for _, kind := range []FaultKind{Cut, Reset} {
		everyByte(t, Fault{Kind: kind, Direction: ToApp}, func(t *testing.T, f Fault) {
			_, app, c := faulty(t, f)
			if n, err := c.Write([]byte(message)); n != f.At || !errors.Is(err, syscall.EPIPE) {
				t.Errorf("Write = %d, %v, want %d, EPIPE", n, err, f.At)
			}
			got, err := io.ReadAll(app)
			if string(got) != message[:f.At] || (kind == Reset) != errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the application got %q, %v", got, err)
			}
		})
	}
}

func wantClosesOnce(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v, want net.ErrClosed", err)
	}
	wantRead(t, c, "", net.ErrClosed)
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v, want net.ErrClosed", err)
	}
}

// A fault ends a read and a write that wait.
func TestFaultUnderWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, app, c := faulty(t, Fault{Kind: Cut, At: 2})
		wrote := make(chan error, 1)
		go func() {
			_, err := c.Write(make([]byte, bufferSize+1))
			wrote <- err
		}()
		synctest.Wait()
		write(t, app, "abc")
		wantRead(t, c, "ab", nil)
		wantRead(t, c, "", io.EOF)
		if err := <-wrote; !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write: %v, want EPIPE", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, _, c := faulty(t, Fault{Kind: Reset, Direction: ToApp, At: 2})
		read := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		_, _ = c.Write([]byte("abc"))
		if err := <-read; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read: %v, want ECONNRESET", err)
		}
	})
}

func TestCorrupt(t *testing.T) {
	for _, mask := range []byte{0, 0xff, 1} {
		flip := mask
		if mask == 0 {
			flip = 0xff
		}
		corrupt := func(at int) string {
			return message[:at] + string([]byte{message[at] ^ flip}) + message[at+1:]
		}
		everyByte(t, Fault{Kind: Corrupt, Mask: mask}, func(t *testing.T, f Fault) {
			_, app, c := faulty(t, f)
			write(t, app, message)
			wantRead(t, c, corrupt(f.At), nil)
			write(t, app, message)
			wantRead(t, c, message, nil)
			write(t, c, message)
			wantRead(t, app, message, nil)
		})
		everyByte(t, Fault{Kind: Corrupt, Direction: ToApp, Mask: mask}, func(t *testing.T, f Fault) {
			_, app, c := faulty(t, f)
			sent := []byte(message)
			if n, err := c.Write(sent); n != len(sent) || err != nil || string(sent) != message {
				t.Errorf("Write = %d, %v, and left %q", n, err, sent)
			}
			wantRead(t, app, corrupt(f.At), nil)
			write(t, c, message)
			wantRead(t, app, message, nil)
			write(t, app, message)
			wantRead(t, c, message, nil)
		})
	}
}

// The byte is counted in pieces, whatever their size.
func TestFaultCountsPieces(t *testing.T) {
	for _, direction := range []FaultDirection{FromApp, ToApp} {
		everyByte(t, Fault{Kind: Corrupt, Direction: direction}, func(t *testing.T, f Fault) {
			_, app, c := faulty(t, f)
			from, to := net.Conn(app), c
			if direction == ToApp {
				from, to = c, app
			}
			var got strings.Builder
			for _, piece := range []string{message[:3], message[3:4], message[4:9], message[9:]} {
				write(t, from, piece)
				for range piece {
					one := make([]byte, 1)
					_, _ = to.Read(one)
					got.Write(one)
				}
			}
			for i := range message {
				if flipped := got.String()[i] == message[i]^0xff; flipped != (i == f.At) {
					t.Errorf("byte %d is %q", i, got.String()[i])
				}
			}
		})
	}
}

// A fault whose byte never comes, and no fault, change nothing.
func TestFaultBeyondTheEnd(t *testing.T) {
	for _, f := range []Fault{
		{},
		{Kind: Cut, At: len(message)},
		{Kind: Reset, Direction: ToApp, At: len(message)},
		{Kind: Stall, At: len(message)},
		{Kind: Split, Direction: ToApp, At: len(message)},
		{Kind: Corrupt, At: len(message)},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, app, c := faulty(t, f)
			write(t, c, message)
			wantRead(t, app, message, nil)
			write(t, app, message)
			wantRead(t, c, message, nil)
			if err := c.(*faultConn).CloseWrite(); err != nil {
				t.Error(err)
			}
			wantRead(t, app, "", io.EOF)
			app.Close()
			wantRead(t, c, "", io.EOF)
			wantClosesOnce(t, c)
		})
	}
}

// The first connection alone has the fault, or every one; a dial that fails does
// not use it up.
func TestFaultDial(t *testing.T) {
	peer := Start(t, Hello)
	refused := errors.New("refused")
	var fail error
	dial := func(ctx context.Context) (net.Conn, error) {
		if fail != nil {
			return nil, fail
		}
		return peer.Dial(ctx)
	}
	f := Fault{Kind: Reset}
	for _, test := range []struct {
		dial  func(context.Context) (net.Conn, error)
		every bool
	}{{f.Dial(dial), false}, {f.DialEvery(dial), true}} {
		fail = refused
		if c, err := test.dial(context.Background()); c != nil || !errors.Is(err, refused) {
			t.Errorf("Dial = %v, %v, want the error", c, err)
		}
		fail = nil
		for i := range 3 {
			c := connect(t, test.dial)
			if i > 0 && !test.every {
				c.wantServed(1)
				continue
			}
			c.send(whole(1, "/"))
			c.wantError(syscall.ECONNRESET)
		}
	}
}

// Over a unix socket the client sees the same.
func TestFaultUnix(t *testing.T) {
	for _, f := range []Fault{
		{Kind: Cut, At: 5},
		{Kind: Reset, At: 5},
		{Kind: Cut, Direction: ToApp, At: 5},
		{Kind: Reset, Direction: ToApp, At: 5},
		{Kind: Split, At: 5},
		{Kind: Stall, At: 5},
		{Kind: Stall, Direction: ToApp, At: 5},
		{Kind: Corrupt, Direction: ToApp, At: 5},
	} {
		t.Run(f.String(), func(t *testing.T) {
			ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			c := connect(t, f.Dial(func(context.Context) (net.Conn, error) { return net.Dial("unix", ln.Addr().String()) }))
			app, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer app.Close()
			checkOverUnix(t, f, c, app)
		})
	}
}

func checkOverUnix(t *testing.T, f Fault, c, app net.Conn) {
	if f.Direction == FromApp {
		write(t, app, message)
		wantRead(t, c, message[:5], nil)
	} else {
		_ = c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		n, err := c.Write([]byte(message))
		if f.Kind == Corrupt {
			wantRead(t, app, "01234\xca6789", nil)
			return
		}
		if n != 5 || err == nil {
			t.Errorf("Write = %d, %v, want 5 and an error", n, err)
		}
		wantRead(t, app, message[:5], nil)
	}
	switch {
	case f.Kind == Split:
		wantRead(t, c, message[5:], nil)
	case f.Kind == Stall:
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		wantRead(t, c, "", os.ErrDeadlineExceeded)
	default:
		for _, err := range f.Kind.after() {
			wantRead(t, c, "", err)
		}
		wantRead(t, app, "", io.EOF)
	}
}
