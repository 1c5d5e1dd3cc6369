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

// Window is how soon after the end of the request a TCP client of another machine must have
// closed its sending side. Those that do so do it at once. It is more than a delayed
// acknowledgment takes, or a busy machine to read both, and less than people take to give up.
const Window = 100 * time.Millisecond

// How often the kernel is asked whether a client of this machine has closed the connection:
// soon, because it parts with the socket a moment after it has sent the end, and then ever
// more rarely.
const (
	firstLook = 20 * time.Millisecond
	lastLook  = 5 * time.Second
)

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

	anywhere bool // tests: every TCP client is taken for one of another machine
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
		t.ends = ends{conn: t, raw: c, config: l.config}
		return t, nil
	case *net.UnixConn:
		u := &unixConn{UnixConn: c}
		u.ends = ends{conn: u, raw: c, config: l.config}
		return u, nil
	}
	return c, nil
}

// tcpConn and unixConn are what they embed, but for Read and Close, so that what net/http and others
// look for (ReadFrom, CloseWrite, SetLinger) is there.
type tcpConn struct {
	*net.TCPConn
	ends ends
}

func (c *tcpConn) Read(p []byte) (int, error) { return c.ends.read(c.TCPConn, p) }

func (c *tcpConn) Close() error {
	c.ends.over()
	discard(c.TCPConn)
	return c.TCPConn.Close()
}

type unixConn struct {
	*net.UnixConn
	ends ends
}

func (c *unixConn) Read(p []byte) (int, error) { return c.ends.read(c.UnixConn, p) }

func (c *unixConn) Close() error {
	c.ends.over()
	discard(c.UnixConn)
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

	active atomic.Bool // a request is being received or answered

	mu     sync.Mutex
	hidden bool        // the end is hidden
	look   *time.Timer // for the next time that the kernel is asked; nil: it is not
	pause  time.Duration
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
	if err != io.EOF || !e.hide(time.Since(since)) {
		return n, err
	}
	return 0, e.await()
}

// hide hides an end that came so long after the request, if its client waits for the answer.
func (e *ends) hide(after time.Duration) bool {
	tcp, isTCP := e.conn.(*tcpConn)
	ask := false
	if isTCP {
		if isLocal(tcp) && !e.config.anywhere {
			held, found, err := isHeld(tcp)
			if ask = found && err == nil; ask && !held {
				return false
			}
		}
		if !ask && after > Window {
			return false
		}
	}
	if e.config.Permit != nil && !e.config.Permit(e.conn) {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hidden = true
	switch {
	case ask:
		e.pause = firstLook
		e.look = time.AfterFunc(e.pause, e.lookAgain)
	case isTCP:
		_ = tcp.SetKeepAliveConfig(keepAlive) // else the usual one finds out later
	}
	return true
}

// lookAgain asks the kernel whether a client of this machine is still there.
func (e *ends) lookAgain() {
	held, _, err := isHeld(e.conn)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.hidden:
	case err == nil && !held:
		_ = e.conn.SetReadDeadline(time.Unix(1, 0)) // ends await; nothing more is to be read
	default:
		e.pause = min(4*e.pause, lastLook)
		e.look.Reset(e.pause)
	}
}

// over ends the hiding, if it has begun.
func (e *ends) over() {
	e.mu.Lock()
	was := e.hidden
	e.hidden = false
	if e.look != nil {
		e.look.Stop()
	}
	e.mu.Unlock()
	if was && e.config.Done != nil {
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
