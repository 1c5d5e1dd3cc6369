//go:build linux

package loop

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/bridge/pool/mux"
	"github.com/sluice-proxy/sluice/internal/framing"
)

// readBuffer is how much is read of a client at a time, in bytes.
const readBuffer = 64 << 10

// loop is one event loop: a goroutine, and what it serves. Its fields are the goroutine's but for
// those below mu.
type loop struct {
	server *Server
	poller *poller

	now        time.Time // of what is being done
	timers     timers
	buf        []byte // for reads
	parser     parser
	encoder    encoder
	head       *framing.Head // for headers that come whole
	out        []byte        // an answer that is being encoded
	spare      []*call
	workspaces []*workspace // without a call
	kits       []kit
	lates      []*late // by the time that they are waited for; some of them have ended
	spareLates []*late

	clients  []*Conn    // by descriptor
	leases   []watching // by descriptor
	shared   map[*mux.Conn]struct{}
	serial   uint32 // of the last connection
	count    int    // of clients
	stopping bool   // what is there is being ended

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
	reader reader       // that had it last
	shared *mux.Conn    // nil: it is not shared
}

// reader reads a connection to the application.
type reader interface {
	// readable says that there is something to read of the connection with that number, and whether its
	// end comes after it.
	readable(serial uint64, ending bool)
}

func newLoop(s *Server) (*loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &loop{
		server: s, poller: p,
		buf: make([]byte, readBuffer), head: framing.NewHead(s.MaxHeader), done: make(chan struct{}), shared: make(map[*mux.Conn]struct{}),
		timers: timers{epoch: time.Now()},
	}, nil
}

// run serves until stop, and then until what is there has ended.
func (l *loop) run() {
	defer close(l.done)
	for !l.isOver() {
		stop := l.wait()
		l.tick()
		if stop && !l.stopping {
			l.stopping = true
			for _, c := range l.clients {
				if c != nil {
					c.cut(errStopped)
				}
			}
			l.endLates()
		}
		for i, e := range l.poller.events[:l.poller.ready] {
			if i > 0 {
				l.tick()
			}
			l.event(e)
		}
		l.runPosted()
		l.expire()
	}
	for c := range l.shared {
		c.Release()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.poller.close() // nothing was written to it
}

// tick reads the clock. That is done once for each event, and not wherever a time is needed.
func (l *loop) tick() { l.now = time.Now() }

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
	l.poller.setAlarm(earliest(l.timers.next(), l.lateDue()), l.now)
	l.mu.Lock()
	if l.stopped && !l.stopping || len(l.posted) > 0 {
		defer l.mu.Unlock()
		l.poller.look()
		return l.stopped
	}
	l.asleep = true
	l.mu.Unlock()
	l.poller.await()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asleep = false
	return l.stopped
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
		l.poller.ring()
	}
}

func (l *loop) runPosted() {
	l.mu.Lock()
	posted := l.posted
	l.posted, l.idle = l.idle[:0], nil
	l.mu.Unlock()
	for i, f := range posted {
		l.tick()
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
	if l.poller.isOwn(fd) {
		return
	}
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
	if err := l.poller.control(unix.EPOLL_CTL_ADD, c.fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP, c.serial); err != nil {
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
	_ = l.poller.control(unix.EPOLL_CTL_DEL, c.fd, 0, 0) // it is there
}

// watch has the events of a connection to the application go to a reader.
func (l *loop) watch(to reader, fd int, serial uint64, came *atomic.Bool) error {
	w := l.leaseAt(fd)
	w.reader = to
	if w.serial == serial {
		return nil
	}
	*w = watching{serial: serial, came: came, reader: to}
	return l.poller.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLRDHUP, uint32(serial)|ofLease)
}

func (l *loop) leaseAt(fd int) *watching {
	for fd >= len(l.leases) {
		l.leases = append(l.leases, make([]watching, 256+len(l.leases))...)
	}
	return &l.leases[fd]
}

// expire tells clients whose time is over.
func (l *loop) expire() {
	l.endLates()
	for {
		c := l.timers.pop(l.now)
		if c == nil {
			return
		}
		c.expired()
	}
}
