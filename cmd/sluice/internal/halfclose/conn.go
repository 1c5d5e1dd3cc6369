package halfclose

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// Window is how soon after the end of the request a TCP client must have closed its sending
// side. Those that do so for every request do it at once; 50 ms is more than a delayed
// acknowledgment takes, and less than anybody takes to give up.
const Window = 50 * time.Millisecond

// keepAlive is for a connection whose end is hidden. The kernel of a client that has closed
// forgets the connection after a while (Linux: net.ipv4.tcp_fin_timeout, 60 s), and resets
// it when it is probed then.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 4}

// Config is what a listener goes by.
type Config struct {
	// Permit is asked before the end of a connection is hidden, and Done is called when
	// that is over, once for each that was permitted. Nil: any number is permitted.
	Permit func(net.Conn) bool
	Done   func(net.Conn)
}

// Listener returns a listener whose connections hide the ends of clients that wait for
// their answer. Track must be the server's ConnState. On systems other than Linux nothing is
// hidden.
func (c Config) Listener(l net.Listener) net.Listener {
	if !supported {
		return l
	}
	return &listener{l, c}
}

type listener struct {
	net.Listener
	config Config
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	switch c := c.(type) {
	case *net.TCPConn:
		t := &tcpConn{TCPConn: c}
		t.ends = ends{conn: t, raw: c, config: l.config, window: Window}
		return t, nil
	case *net.UnixConn:
		u := &unixConn{UnixConn: c}
		u.ends = ends{conn: u, raw: c, config: l.config}
		return u, nil
	}
	return c, nil
}

// tcpConn and unixConn are what they embed, but for Read, so that what net/http and others
// look for (ReadFrom, CloseWrite, SetLinger) is there.
type tcpConn struct {
	*net.TCPConn
	ends ends
}

func (c *tcpConn) Read(p []byte) (int, error) { return c.ends.read(c.TCPConn, p) }

func (c *tcpConn) Close() error {
	c.ends.over()
	return c.TCPConn.Close()
}

type unixConn struct {
	*net.UnixConn
	ends ends
}

func (c *unixConn) Read(p []byte) (int, error) { return c.ends.read(c.UnixConn, p) }

func (c *unixConn) Close() error {
	c.ends.over()
	return c.UnixConn.Close()
}

// Track tells a connection of its state in the server, http.Server.ConnState.
func Track(c net.Conn, s http.ConnState) {
	var e *ends
	switch c := c.(type) {
	case *tcpConn:
		e = &c.ends
	case *unixConn:
		e = &c.ends
	default:
		return
	}
	e.active.Store(s == http.StateActive)
	if s != http.StateActive {
		e.over()
	}
}

// ends decides what becomes of the end of a client's stream.
type ends struct {
	conn   net.Conn
	raw    syscall.Conn
	config Config
	window time.Duration // 0: the kernel knows

	active atomic.Bool // a request is being received or answered
	hidden atomic.Bool // and the end is hidden
}

// errLeft is the end of a connection whose client was found to have left after its end had
// been hidden.
var errLeft = errors.New("the client closed its sending side, and then the connection")

// read reads for net/http. While a request is answered that was received whole, net/http
// reads a single byte in the background, to notice a client that leaves; no other Read is
// that small.
func (e *ends) read(from io.Reader, p []byte) (int, error) {
	if len(p) != 1 || !e.active.Load() {
		return from.Read(p)
	}
	since := time.Now()
	n, err := from.Read(p)
	if err != io.EOF || e.window > 0 && time.Since(since) > e.window || !e.hide() {
		return n, err
	}
	return 0, e.await()
}

// hide begins to hide the end.
func (e *ends) hide() bool {
	if e.config.Permit != nil && !e.config.Permit(e.conn) {
		return false
	}
	e.hidden.Store(true)
	if tcp, ok := e.conn.(*tcpConn); ok {
		_ = tcp.SetKeepAliveConfig(keepAlive) // else the usual one finds out later
	}
	return true
}

// over ends that, if it has begun.
func (e *ends) over() {
	if e.hidden.CompareAndSwap(true, false) && e.config.Done != nil {
		e.config.Done(e.conn)
	}
}

// await waits until the connection is closed by the client, or by us, or a deadline passes.
func (e *ends) await() error {
	raw, err := e.raw.SyscallConn()
	if err != nil {
		return err
	}
	if err := raw.Read(closed); err != nil {
		return err
	}
	return errLeft
}
