package accepted

import (
	"container/list"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Secure returns a listener whose connections are *Conn.
func Secure(l net.Listener) net.Listener { return &secure{l} }

type secure struct{ net.Listener }

// Accept implements net.Listener.
func (s *secure) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	of, ok := c.(*Conn)
	if !ok {
		of = &Conn{Conn: c}
	}
	return of, nil
}

// Proxies says whose connections begin with a header of the PROXY protocol.
type Proxies struct {
	// Sends reports whether a peer sends headers. The zero Addr is a peer on a unix socket.
	Sends func(netip.Addr) bool
	// Timeout is how long a header may take.
	Timeout time.Duration
	// Most is how many headers are waited for. When one more connection comes, the oldest of those is
	// closed.
	Most int
	// Logger gets a line about connections without a header, at most every ten seconds.
	Logger *slog.Logger
}

// closeGrace is how long headers may take when the listener is closed.
const closeGrace = 250 * time.Millisecond

// complaintPause is the least time between two log lines.
const complaintPause = 10 * time.Second

// Listener returns a listener that accepts from l, which is its own from then on. Its connections
// are *Conn.
func (p Proxies) Listener(l net.Listener) net.Listener {
	made := &listener{Listener: l, proxies: p, ready: make(chan result)}
	made.reading.Go(made.accept)
	go func() {
		made.reading.Wait()
		close(made.ready)
	}()
	return made
}

type listener struct {
	net.Listener
	proxies Proxies
	ready   chan result // closed when all goroutines have ended
	reading sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	pending    list.List // connections whose header has not been read, the oldest first
	complained time.Time
	without    int // connections without a header since then
}

type result struct {
	conn net.Conn
	err  error
}

// accept accepts until the listener is closed. What fails there fails in Accept.
func (l *listener) accept() {
	for {
		c, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			l.ready <- result{err: err}
		case !l.proxies.Sends(addrOf(c)):
			l.ready <- result{conn: &Conn{Conn: c}}
		default:
			l.await(c)
		}
	}
}

// await reads the header of a connection, in a goroutine.
func (l *listener) await(c net.Conn) {
	l.mu.Lock()
	_ = c.SetReadDeadline(time.Now().Add(l.deadline())) // if it fails, so does reading
	place := l.pending.PushBack(c)
	var out net.Conn
	if l.pending.Len() > l.proxies.Most {
		out = l.pending.Remove(l.pending.Front()).(net.Conn)
	}
	l.mu.Unlock()
	if out != nil {
		_ = out.Close() // which ends its goroutine
	}
	l.reading.Go(func() {
		told, err := readHeader(c)
		l.mu.Lock()
		l.pending.Remove(place) // unless that was done already
		l.mu.Unlock()
		if err != nil {
			_ = c.Close() // nothing was sent on it
			l.complain(c, err)
			return
		}
		_ = c.SetReadDeadline(time.Time{}) // if it fails, so will the next Read
		conn := &Conn{Conn: c}
		if told != nil {
			conn.Told, conn.remote, conn.local = true, told.remote, told.local
		}
		l.ready <- result{conn: conn}
	})
}

// deadline is how long the next header may take. mu is held.
func (l *listener) deadline() time.Duration {
	if l.closed {
		return min(closeGrace, l.proxies.Timeout)
	}
	return l.proxies.Timeout
}

// complain tells the log of a connection without a header. One that ends before its first byte is
// usually a check whether somebody listens.
func (l *listener) complain(c net.Conn, err error) {
	if errors.Is(err, io.EOF) && !errors.Is(err, errNoHeader) || errors.Is(err, net.ErrClosed) {
		return
	}
	now := time.Now()
	l.mu.Lock()
	l.without++
	n := l.without
	if say := now.Sub(l.complained) >= complaintPause; !say {
		l.mu.Unlock()
		return
	}
	l.complained, l.without = now, 0
	l.mu.Unlock()
	l.proxies.Logger.Warn("connections were closed because the PROXY protocol header of the load balancer is missing or malformed",
		"listen", l.Addr().String(), "peer", c.RemoteAddr().String(), "connections", n, "error", err.Error(),
		"advice", "have it send the header (HAProxy: send-proxy-v2; nginx: proxy_protocol on), or take its address out of proxy_protocol")
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	r, ok := <-l.ready
	if !ok {
		return nil, net.ErrClosed
	}
	return r.conn, r.err
}

// Close implements net.Listener. Headers that are on their way have closeGrace; Accept must be called
// until it fails.
func (l *listener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for e := l.pending.Front(); e != nil; e = e.Next() {
		_ = e.Value.(net.Conn).SetReadDeadline(time.Now().Add(closeGrace)) // if it fails, so does reading
	}
	return err
}

// addrOf returns the address of the peer, the zero Addr for a unix socket.
func addrOf(c net.Conn) netip.Addr {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}
