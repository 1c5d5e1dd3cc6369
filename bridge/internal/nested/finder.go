package nested

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Ticket is told what was found: how deep a request is nested, 0 if in nothing.
type Ticket interface{ Nested(depth int) }

// look finds out, of requests that are in progress, how deep each is nested: 0 is not at
// all. Listeners are the inodes of the sockets that the application listens on. It looks at
// some processes, or at all if there are none, and returns those that are the application's.
type look func(requests []*Request, listeners []uint64, at []int) (depths, application []int)

// A look at the processes that are known to be the application's takes a fraction of one
// at all of them, which also finds new ones and their children. pace is when the next of a
// kind may be.
type pace struct {
	least, most time.Duration // between two
	pause       time.Duration
	next        time.Time
}

// share is how many times as long as a look there is none.
const share = 10

// ran notes a look. While looks find nothing, there are ever fewer: there may be a proxy on
// this machine.
func (p *pace) ran(began time.Time, found bool) {
	if p.pause = min(max(p.least, 2*p.pause), p.most); found {
		p.pause = p.least
	}
	now := time.Now()
	p.next = now.Add(max(p.pause, share*now.Sub(began)))
}

// curious is how long after a look there is one for a request that need not wait. Such
// ones are to be known of before the first has to.
const curious = 5 * time.Second

// Finder knows the requests in progress that come from this machine. Its methods may be
// called at the same time.
type Finder struct {
	listeners func() []uint64
	look      look

	// Used by run alone.
	quick, whole pace
	application  []int // processes, as the last look at all found them

	mu      sync.Mutex
	known   map[*Request]struct{}
	waiting int       // of these, are to be looked at
	looked  time.Time // when the last look was
	running bool      // a goroutine looks
	closed  bool
	ended   sync.WaitGroup
	stop    chan struct{}
}

// New returns a Finder. listeners returns the inodes of the sockets that the application
// listens on; it may take a moment, and is called by one goroutine at a time.
func New(listeners func() []uint64) *Finder {
	return &Finder{
		listeners: listeners, look: lookNow, known: make(map[*Request]struct{}), stop: make(chan struct{}),
		quick: pace{least: 2 * time.Millisecond, most: 50 * time.Millisecond},
		whole: pace{least: 20 * time.Millisecond, most: time.Second},
	}
}

// Request is one in progress. It belongs to the goroutine that serves it.
type Request struct {
	f             *Finder
	client, local netip.AddrPort // the two ends of its connection

	// Guarded by Finder.mu.
	ticket Ticket
	waits  bool      // it is to be looked at
	asked  time.Time // since then
	served socket
	depth  int  // found
	alone  bool // found to be nested in nothing

	// What a look has found, which does not change. Used by Finder.run alone.
	from   uint64 // the inode of the client's socket; 0: it was not found
	worked worked
}

// worked is the application's end of a connection that a request was served on.
type worked struct {
	on    socket
	inode uint64
}

// socket is this process's end of a connection to the application.
type socket struct {
	inode uint64 // 0: none
	unix  bool
	// of TCP, the two ends
	local, remote netip.AddrPort
}

// Track returns a request that is in progress until End; nil if its client is not on this
// machine, as far as addresses tell.
func (f *Finder) Track(client string, local net.Addr) *Request {
	at, ok := local.(*net.TCPAddr)
	if !ok || client == "" {
		return nil
	}
	// Most clients are elsewhere, and parsing takes longer than telling so.
	from, err := netip.ParseAddrPort(client)
	if err != nil {
		return nil
	}
	to := at.AddrPort()
	from, to = unmapped(from), unmapped(to)
	if !from.Addr().IsLoopback() && from.Addr() != to.Addr() {
		return nil
	}
	r := &Request{f: f, client: from, local: to}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.known[r] = struct{}{}
	if time.Since(f.looked) >= curious {
		f.lookAt(r)
	}
	return r
}

// lookAt has r be looked at.
func (f *Finder) lookAt(r *Request) {
	if r.waits {
		return
	}
	r.waits, r.asked = true, time.Now()
	f.waiting++
	if !f.running && !f.closed {
		f.running = true
		f.ended.Go(f.run)
	}
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// Waits says that the request waits, with that ticket, which is told if it is nested.
func (r *Request) Waits(t Ticket) {
	f := r.f
	f.mu.Lock()
	defer f.mu.Unlock()
	r.tell(t)
	if _, here := f.known[r]; here && r.depth == 0 && !r.alone {
		f.lookAt(r)
	}
}

// tell sets the ticket, and tells it what is known already.
func (r *Request) tell(t Ticket) {
	if r.depth > 0 || r.alone && r.ticket == nil {
		t.Nested(r.depth)
	}
	r.ticket = t
}

// Served says that the request is sent on that connection. The ticket is that of a request
// that has not waited.
func (r *Request) Served(t Ticket, conn syscall.RawConn, local, remote net.Addr) {
	s := socketOf(conn, local, remote)
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	r.tell(t)
	r.served = s
}

// settle: it was looked at, or need not be any more.
func (r *Request) settle() {
	if r.waits {
		r.waits = false
		r.f.waiting--
	}
}

// End says that the request is over.
func (r *Request) End() {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	r.settle()
	delete(r.f.known, r)
}

// Close ends what looks.
func (f *Finder) Close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.stop)
	}
	f.mu.Unlock()
	f.ended.Wait()
}

// run looks as long as somebody is to be looked at.
func (f *Finder) run() {
	for {
		requests := f.toLookAt()
		if requests == nil {
			return
		}
		wait := f.whole.next
		if len(f.application) > 0 && f.quick.next.Before(wait) {
			wait = f.quick.next
		}
		if d := time.Until(wait); d > 0 {
			select {
			case <-f.stop:
			case <-time.After(d):
			}
			continue
		}
		began := time.Now()
		if len(f.application) > 0 && !began.Before(f.quick.next) {
			depths, _ := f.look(requests, f.listeners(), f.application)
			left := f.note(requests, depths, began, false)
			f.quick.ran(began, left < len(requests))
			continue
		}
		depths, application := f.look(requests, f.listeners(), nil)
		f.application = application
		left := f.note(requests, depths, began, true)
		f.whole.ran(began, left < len(requests))
	}
}

// toLookAt returns the requests that a look is about: those that are not known to be nested in
// nothing, and those that others may be nested in. It returns nil if none is to be looked at:
// then the goroutine is to end.
func (f *Finder) toLookAt() []*Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.waiting == 0 {
		f.running = false
		return nil
	}
	requests := make([]*Request, 0, f.waiting)
	for r := range f.known {
		if !r.alone || r.served.inode != 0 {
			requests = append(requests, r)
		}
	}
	return requests
}

// note tells what was found, and returns how many were found to be nested in nothing. Those
// need no other look after one at all processes, if they were there when it began.
func (f *Finder) note(requests []*Request, depths []int, began time.Time, whole bool) (left int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = began
	for i, r := range requests {
		if depths[i] == 0 {
			left++
		}
		if _, here := f.known[r]; !here {
			continue
		}
		if depths[i] == 0 {
			if whole && r.waits && !r.asked.After(began) {
				r.settle()
				if r.alone = true; r.ticket != nil {
					r.ticket.Nested(0)
				}
			}
			continue
		}
		r.settle()
		if r.depth > 0 {
			continue
		}
		if r.depth = depths[i]; r.ticket != nil {
			r.ticket.Nested(r.depth)
		}
	}
	return left
}
