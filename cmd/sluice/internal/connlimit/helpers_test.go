package connlimit

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// conn is a connection as far as a Limit is concerned: it has an address, and can be
// closed.
type conn struct {
	net.Conn
	addr   net.Addr
	closed chan struct{}
	once   sync.Once
	reset  atomic.Bool // it ends with a reset
}

func newConn(addr string) *conn {
	c := &conn{addr: &net.UnixAddr{Net: "unix"}, closed: make(chan struct{})}
	if ip, err := netip.ParseAddr(addr); err == nil {
		c.addr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 1234))
	}
	return c
}

func (c *conn) RemoteAddr() net.Addr { return c.addr }

func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// SetLinger is a TCP connection's.
func (c *conn) SetLinger(sec int) error {
	c.reset.Store(sec == 0)
	return nil
}

func (c *conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// door is a listener whose connections a test brings.
type door struct {
	comes chan any // a *conn or an error
	shut  chan struct{}
	once  sync.Once
}

func newDoor() *door { return &door{comes: make(chan any), shut: make(chan struct{})} }

func (d *door) Accept() (net.Conn, error) {
	select {
	case x := <-d.comes:
		if err, ok := x.(error); ok {
			return nil, err
		}
		return x.(*conn), nil
	case <-d.shut:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error {
	d.once.Do(func() { close(d.shut) })
	return nil
}

func (d *door) Addr() net.Addr { return &net.UnixAddr{} }

// bench is a Limit with a server that takes what it is given.
type bench struct {
	t     *testing.T
	l     *Limit
	door  *door
	ln    net.Listener
	log   *logText
	given []*conn // in order
	mu    sync.Mutex
	ended sync.WaitGroup
}

// logText is what the log was told.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newBench(t *testing.T, c Config) *bench {
	b := &bench{t: t, door: newDoor(), log: new(logText)}
	c.Logger = slog.New(slog.NewTextHandler(b.log, nil))
	b.l = New(c)
	b.ln = b.l.Listener(b.door)
	b.ended.Go(func() {
		for {
			c, err := b.ln.Accept()
			if err != nil {
				return
			}
			b.l.Track(c, http.StateNew)
			b.mu.Lock()
			b.given = append(b.given, c.(*conn))
			b.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		b.ln.Close()
		b.ended.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.given {
			b.l.Track(c, http.StateClosed)
		}
		s := b.l.Snapshot()
		if s.Open+s.Idle+s.Waiting+s.Clients != 0 || len(b.l.clients.most) != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
	return b
}

// come has a connection accepted.
func (b *bench) come(addr string) *conn {
	c := newConn(addr)
	b.door.comes <- c
	synctest.Wait()
	return c
}

func (b *bench) wasGiven(c *conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.given, c)
}

func (b *bench) want(what string, c *conn, given, closed bool) {
	b.t.Helper()
	synctest.Wait()
	if g, cl := b.wasGiven(c), c.isClosed(); g != given || cl != closed {
		b.t.Errorf("%s: given to the server: %v, closed: %v; want %v, %v", what, g, cl, given, closed)
	}
}

// crowd lets a client come n times, each with a request if active.
func (b *bench) crowd(addr string, n int, active bool) (all []*conn) {
	for range n {
		c := b.come(addr)
		if active {
			b.l.Track(c, http.StateActive)
		}
		all = append(all, c)
	}
	return all
}
