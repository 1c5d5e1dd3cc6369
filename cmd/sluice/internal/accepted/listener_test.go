package accepted

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// door is a listener whose connections a test makes.
type door struct {
	comes chan net.Conn
	shut  chan struct{}
	once  sync.Once
}

func newDoor() *door { return &door{comes: make(chan net.Conn), shut: make(chan struct{})} }

func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.comes:
		return c, nil
	case <-d.shut:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error { d.once.Do(func() { close(d.shut) }); return nil }

func (d *door) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "/door"} }

// from is a connection with an address.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// come makes a connection from an address, and returns its other end.
func (d *door) come(addr string) net.Conn {
	ours, theirs := net.Pipe()
	d.comes <- from{ours, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))}
	return theirs
}

const balancer, stranger = "192.0.2.1:1000", "192.0.2.2:1000"

func proxies(most int, log io.Writer) Proxies {
	return Proxies{
		Sends:   func(addr netip.Addr) bool { return addr == netip.MustParseAddr("192.0.2.1") },
		Timeout: 10 * time.Second, Most: most, Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
}

// Who is slow holds up nobody, and has its time; of too many, the oldest is closed.
func TestPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		d := newDoor()
		l := proxies(2, &log).Listener(d)
		accepts := make(chan net.Conn)
		ended := make(chan error)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					ended <- err
					return
				}
				accepts <- c
			}
		}()
		closedAfter := func(c net.Conn) time.Duration {
			begun := time.Now()
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("it is open")
			}
			return time.Since(begun)
		}
		first, second := d.come(balancer), d.come(balancer)
		other := d.come(stranger)
		if c := (<-accepts).(*Conn); c.Told || c.RemoteAddr().String() != stranger {
			t.Errorf("somebody else is %v, told: %v", c.RemoteAddr(), c.Told)
		}
		_ = other.Close()
		third := d.come(balancer)
		if after := closedAfter(first); after != 0 {
			t.Errorf("the oldest was closed after %v", after)
		}
		go func() { _, _ = io.WriteString(third, "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n") }()
		c := (<-accepts).(*Conn)
		if !c.Told || c.RemoteAddr().String() != "192.0.2.7:4711" || c.LocalAddr().String() != "198.51.100.1:80" {
			t.Errorf("it is %v to %v", c.RemoteAddr(), c.LocalAddr())
		}
		if after := closedAfter(second); after != 10*time.Second {
			t.Errorf("a silent one was closed after %v", after)
		}
		_ = d.come(balancer).Close() // a check whether somebody listens
		last := d.come(balancer)
		synctest.Wait()
		begun := time.Now()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) || time.Since(begun) != closeGrace {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		closedAfter(last)
		if n := strings.Count(log.String(), "level=WARN"); n > 2 {
			t.Errorf("the log is\n%s", log.String())
		}
	})
}
