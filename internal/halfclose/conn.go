package halfclose

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Window is the time after the end of the request within which a TCP client on another machine must
// close its sending side to count as waiting. Clients that do so do it at once. The time is longer
// than a delayed acknowledgment, or than a busy machine needs to read both, and shorter than people
// wait before they give up.
const Window = 100 * time.Millisecond

// When the kernel is asked whether a client on this machine has closed the connection: soon, because
// a client that closes releases the socket a moment after the FIN, and then at growing intervals.
const (
	firstCheck       = 20 * time.Millisecond
	maxCheckInterval = 5 * time.Second
)

// keepAlive is set on a connection whose end is hidden. The kernel of a client that has closed the
// connection forgets it after some time (Linux: net.ipv4.tcp_fin_timeout, 60 s), and then answers a
// probe with a reset.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 4}

// Config configures a listener.
type Config struct {
	// Permit reports whether the end of a connection may be hidden. Done is called after each
	// permitted one, when its end is no longer hidden. Nil: all are permitted.
	Permit func(net.Conn) bool
	Done   func(net.Conn)

	allRemote bool // for tests: every TCP client counts as one on another machine
}

// Listener returns a listener whose connections hide the end of the stream while the client waits
// for its answer. The server's ConnState must call Track. On systems other than Linux nothing is
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
	return l.config.Wrap(c), nil
}

// Wrap returns a connection of Listener for one that was accepted otherwise.
func (g Config) Wrap(c net.Conn) net.Conn {
	switch c := c.(type) {
	case *net.TCPConn:
		t := &tcpConn{TCPConn: c}
		t.filter = eofFilter{conn: t, raw: c, config: g}
		return t
	case *net.UnixConn:
		u := &unixConn{UnixConn: c}
		u.filter = eofFilter{conn: u, raw: c, config: g}
		return u
	}
	return c
}

// tcpConn and unixConn replace Read and Close of the connections that they embed. All other methods,
// such as ReadFrom, CloseWrite and SetLinger, are available to net/http.
type tcpConn struct {
	*net.TCPConn
	filter eofFilter
}

func (c *tcpConn) Read(p []byte) (int, error) { return c.filter.read(c.TCPConn, p) }

func (c *tcpConn) Close() error {
	c.filter.stopHiding()
	discard(c.TCPConn)
	return c.TCPConn.Close()
}

type unixConn struct {
	*net.UnixConn
	filter eofFilter
}

func (c *unixConn) Read(p []byte) (int, error) { return c.filter.read(c.UnixConn, p) }

func (c *unixConn) Close() error {
	c.filter.stopHiding()
	discard(c.UnixConn)
	return c.UnixConn.Close()
}

// Track sets the state of a connection in the server. It is for http.Server.ConnState.
func Track(c net.Conn, s http.ConnState) {
	var e *eofFilter
	switch c := c.(type) {
	case *tcpConn:
		e = &c.filter
	case *unixConn:
		e = &c.filter
	default:
		return
	}
	e.active.Store(s == http.StateActive)
	if s != http.StateActive {
		e.stopHiding()
	}
}

// eofFilter decides whether net/http sees the end of a client's stream.
type eofFilter struct {
	conn   net.Conn
	raw    syscall.Conn
	config Config

	active atomic.Bool // the server receives or answers a request

	mu            sync.Mutex
	hidden        bool        // the end of the stream is hidden
	checkTimer    *time.Timer // for the next question to the kernel; nil: none
	checkInterval time.Duration
}

// errClientLeft is the error of Read when the client has closed the connection after its end was
// hidden.
var errClientLeft = errors.New("the client closed its sending side, and then the connection")

// read reads for net/http. While net/http answers a completely received request, it reads a single
// byte in the background, to notice a client that leaves. No other Read is that small.
func (e *eofFilter) read(from io.Reader, p []byte) (int, error) {
	if len(p) != 1 || !e.active.Load() {
		return from.Read(p)
	}
	since := time.Now()
	n, err := from.Read(p)
	if err != io.EOF || !e.hide(time.Since(since)) {
		return n, err
	}
	return 0, e.waitClosed()
}

// hide hides the end of the stream if the client waits for the answer. after is the time since the
// request.
func (e *eofFilter) hide(after time.Duration) bool {
	verdict := judge(e.conn, after, e.config.allRemote)
	if verdict == HasLeft {
		return false
	}
	if e.config.Permit != nil && !e.config.Permit(e.conn) {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hidden = true
	if verdict == AskAgain {
		e.checkInterval = firstCheck
		e.checkTimer = time.AfterFunc(e.checkInterval, e.check)
	} else if tcp, ok := e.conn.(*tcpConn); ok {
		_ = tcp.SetKeepAliveConfig(keepAlive) // if it fails, the default keep-alive finds out later
	}
	return true
}

// check asks the kernel whether a client on this machine still has the connection.
func (e *eofFilter) check() {
	open := HasPeer(e.conn)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.hidden:
	case !open:
		_ = e.conn.SetReadDeadline(time.Unix(1, 0)) // ends waitClosed; nothing more is read
	default:
		e.checkInterval = min(4*e.checkInterval, maxCheckInterval)
		e.checkTimer.Reset(e.checkInterval)
	}
}

// stopHiding ends the hiding, if there is any.
func (e *eofFilter) stopHiding() {
	e.mu.Lock()
	was := e.hidden
	e.hidden = false
	if e.checkTimer != nil {
		e.checkTimer.Stop()
	}
	e.mu.Unlock()
	if was && e.config.Done != nil {
		e.config.Done(e.conn)
	}
}

// waitClosed waits until either side closes the connection, or a deadline passes.
func (e *eofFilter) waitClosed() error {
	raw, err := e.raw.SyscallConn()
	if err != nil {
		return err
	}
	if err := raw.Read(isClosed); err != nil {
		return err
	}
	return errClientLeft
}
