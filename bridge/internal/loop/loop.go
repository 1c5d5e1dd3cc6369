//go:build linux

package loop

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/bridge/internal/socket"
	"github.com/sluice-proxy/sluice/bridge/pool/mux"
	"github.com/sluice-proxy/sluice/internal/framing"
)

// readBuffer is how much is read of a client at a time, in bytes.
const readBuffer = 64 << 10

// loop is one event loop: a goroutine, and what it serves. Its fields are the goroutine's but for
// those below mu.
type loop struct {
	server *Server
	file   *os.File // the epoll descriptor, which the runtime waits for
	raw    syscall.RawConn
	epoll  int
	events []unix.EpollEvent
	ready  int // how many events there are

	now        time.Time // of this turn
	timers     timers
	buf        []byte // for reads
	parser     parser
	encoder    encoder
	head       *framing.Head // for headers that come whole
	out        []byte        // an answer that is being encoded
	spare      []*call
	workspaces []*workspace // without a call
	kits       []kit

	clients  []*Conn    // by descriptor
	leases   []watching // by descriptor
	shared   map[*mux.Conn]struct{}
	serial   uint32    // of the last connection
	count    int       // of clients
	stopping bool      // what is there is being ended
	wakeAt   time.Time // the deadline that the wait has; zero: none

	mu      sync.Mutex
	posted  []func()
	asleep  bool
	stopped bool
	over    bool     // posted is not looked at any more
	idle    []func() // memory of posted
	done    chan struct{}
}

// watching is a connection to the application that the loop has events of.
type watching struct {
	serial uint64
	came   *atomic.Bool // is to be told of events
	call   *call        // that had it last
	shared *mux.Conn    // nil: it is not shared
}

func newLoop(s *Server) (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or the runtime would not wait for it
		return nil, errors.Join(err, unix.Close(fd))
	}
	l := &loop{
		server: s, epoll: fd, file: os.NewFile(uintptr(fd), "epoll"), events: make([]unix.EpollEvent, 256),
		buf: make([]byte, readBuffer), head: framing.NewHead(s.MaxHeader), done: make(chan struct{}), shared: make(map[*mux.Conn]struct{}),
		timers: timers{epoch: time.Now()},
	}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, l.file.Close())
	}
	return l, nil
}

// run serves until stop, and then until what is there has ended.
func (l *loop) run() {
	defer close(l.done)
	for !l.isOver() {
		stop := l.wait()
		l.now = time.Now()
		if stop && !l.stopping {
			l.stopping = true
			for _, c := range l.clients {
				if c != nil {
					c.cut(errStopped)
				}
			}
		}
		for _, e := range l.events[:l.ready] {
			l.event(e)
		}
		l.runPosted()
		l.expire()
	}
	for c := range l.shared {
		c.Release()
	}
	_ = l.file.Close() // nothing was written to it
}

// isOver reports whether everything has ended. Then nothing is posted any more.
func (l *loop) isOver() bool {
	if !l.stopping || l.count > 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = len(l.posted) == 0
	return l.over
}

// errStopped is why a request ends if the server is closed.
var errStopped = errors.New("the server was closed")

// wait waits until there are events, something was posted, or a timer is due. It reports whether the
// loop is to stop.
func (l *loop) wait() (stop bool) {
	next, passed := l.timers.next(), !l.wakeAt.IsZero() && !l.wakeAt.After(l.now)
	if passed || !next.IsZero() && (l.wakeAt.IsZero() || next.Before(l.wakeAt)) {
		l.wakeAt = next
		_ = l.file.SetReadDeadline(next) // it can be waited for
	}
	l.mu.Lock()
	if l.stopped && !l.stopping || len(l.posted) > 0 {
		defer l.mu.Unlock()
		l.poll()
		return l.stopped
	}
	l.asleep = true
	l.mu.Unlock()
	l.ready = 0
	_ = l.raw.Read(l.waited) // its error is that of the deadline
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.asleep { // somebody has ended the wait by a deadline that has passed
		l.wakeAt = past
	}
	l.asleep = false
	return l.stopped
}

// waited reports whether there is no need to wait any longer.
func (l *loop) waited(uintptr) bool {
	l.poll()
	return l.ready > 0
}

// past is a deadline that ends a wait.
var past = time.Unix(1, 0)

// poll sets events to what there is.
func (l *loop) poll() {
	n, err := socket.Events(l.epoll, l.events)
	if err != nil {
		n = 0 // EINTR
	}
	l.ready = n
}

// post has the loop call f, soon. It may be called in any goroutine; after the end of the loop, f is
// not called, and post returns false.
func (l *loop) post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.posted = append(l.posted, f)
	l.wake()
	return true
}

// wake ends the wait. The caller holds the mutex.
func (l *loop) wake() {
	if l.asleep {
		l.asleep = false
		_ = l.file.SetReadDeadline(past) // it can be waited for
	}
}

func (l *loop) runPosted() {
	l.mu.Lock()
	posted := l.posted
	l.posted, l.idle = l.idle[:0], nil
	l.mu.Unlock()
	for i, f := range posted {
		f()
		posted[i] = nil
	}
	l.mu.Lock()
	l.idle = posted[:0]
	l.mu.Unlock()
}

// stop ends run, and waits for that.
func (l *loop) stop() {
	l.mu.Lock()
	l.stopped = true
	l.wake()
	l.mu.Unlock()
	<-l.done
}

// The second half of an event's data says what the descriptor is: a serial number, and this bit for a
// connection to the application. A late event of a descriptor that was closed has another number.
const ofLease = 1 << 31

func (l *loop) event(e unix.EpollEvent) {
	fd, serial := int(e.Fd), uint32(e.Pad)
	if serial&ofLease != 0 {
		if w := &l.leases[fd]; uint32(w.serial)|ofLease == serial {
			w.happened(e.Events)
		}
		return
	}
	if c := l.clients[fd]; c != nil && c.serial == serial {
		c.event(e.Events)
	}
}

// add begins to serve a client.
func (l *loop) add(c *Conn) {
	l.serial = (l.serial + 1) &^ ofLease
	for c.fd >= len(l.clients) {
		l.clients = append(l.clients, make([]*Conn, 256+len(l.clients))...)
	}
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.home = l
	}
	c.mu.Unlock()
	if closed { // for another
		return
	}
	c.loop, c.serial = l, l.serial
	l.clients[c.fd] = c
	l.count++
	if err := l.control(unix.EPOLL_CTL_ADD, c.fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP, c.serial); err != nil {
		c.cut(err)
		return
	}
	if l.stopping {
		c.cut(errStopped)
		return
	}
	c.begin()
}

// remove ends the loop's events of a client's descriptor, which is open.
func (l *loop) remove(c *Conn) {
	l.clients[c.fd] = nil
	l.count--
	l.timers.remove(&c.timer)
	_ = l.control(unix.EPOLL_CTL_DEL, c.fd, 0, 0) // it is there
}

// watch has the events of a connection to the application go to c.
func (l *loop) watch(c *call, fd int, serial uint64, came *atomic.Bool) error {
	w := l.leaseAt(fd)
	w.call = c
	if w.serial == serial {
		return nil
	}
	*w = watching{serial: serial, came: came, call: c}
	return l.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLRDHUP, uint32(serial)|ofLease)
}

func (l *loop) leaseAt(fd int) *watching {
	for fd >= len(l.leases) {
		l.leases = append(l.leases, make([]watching, 256+len(l.leases))...)
	}
	return &l.leases[fd]
}

// control changes what there are events of. They come once for each change.
func (l *loop) control(op, fd int, events, serial uint32) error {
	err := unix.EpollCtl(l.epoll, op, fd, &unix.EpollEvent{Events: events | unix.EPOLLET, Fd: int32(fd), Pad: int32(serial)})
	return os.NewSyscallError("epoll_ctl", err)
}

// expire tells clients whose time is over.
func (l *loop) expire() {
	for {
		c := l.timers.pop(l.now)
		if c == nil {
			return
		}
		c.expired()
	}
}
