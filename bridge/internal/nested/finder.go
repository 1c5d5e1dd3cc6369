package nested

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Ticket is told what was found.
type Ticket interface{ Nested(depth int) }

// look finds out, of requests that are in progress, how deep each is nested: 0 is not at
// all. Listeners are the inodes of the sockets that the application listens on.
type look func(requests []*Request, listeners []uint64) []int

const (
	// spacing is how long there is between two looks, at least, and as many times as long
	// as the last one took.
	spacing, share = 20 * time.Millisecond, 10
	// slowest is how long there is when looks find nothing: then there may be a proxy on
	// this machine.
	slowest = time.Second
	// curious is how long after a look there is one for a request that need not wait. Such
	// ones are to be known of before the first has to.
	curious = 5 * time.Second
)

// Finder knows the requests in progress that come from this machine. Its methods may be
// called at the same time.
type Finder struct {
	listeners func() []uint64
	look      look

	mu      sync.Mutex
	known   map[*Request]struct{}
	waiting int           // of these, are to be looked at
	pause   time.Duration // before the next look
	looked  time.Time     // when the last one was
	running bool          // a goroutine looks
	closed  bool
	ended   sync.WaitGroup
	stop    chan struct{}
}

// New returns a Finder. listeners returns the inodes of the sockets that the application
// listens on; it may take a moment, and is called by one goroutine at a time.
func New(listeners func() []uint64) *Finder {
	return &Finder{listeners: listeners, look: lookNow, known: make(map[*Request]struct{}), pause: spacing, stop: make(chan struct{})}
}

// Request is one in progress. It belongs to the goroutine that serves it.
type Request struct {
	f             *Finder
	client, local netip.AddrPort // the two ends of its connection

	// Guarded by Finder.mu.
	ticket Ticket
	waits  bool // it is to be looked at
	served socket
	depth  int // found
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
	r.waits = true
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
	if _, here := f.known[r]; here && r.depth == 0 {
		f.lookAt(r)
	}
}

// tell sets the ticket, and tells it what is known already.
func (r *Request) tell(t Ticket) {
	if r.ticket = t; r.depth > 0 {
		t.Nested(r.depth)
	}
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

// run looks as long as somebody waits who was not looked at.
func (f *Finder) run() {
	for {
		f.mu.Lock()
		if f.closed || f.waiting == 0 {
			f.running = false
			f.mu.Unlock()
			return
		}
		requests := make([]*Request, 0, len(f.known))
		for r := range f.known {
			requests = append(requests, r)
		}
		for _, r := range requests {
			r.settle() // what comes to wait from here on waits for the next look
		}
		f.mu.Unlock()

		began := time.Now()
		depths := f.look(requests, f.listeners())
		took := time.Since(began)

		f.mu.Lock()
		found := false
		for i, r := range requests {
			if _, here := f.known[r]; !here || depths[i] == 0 {
				continue
			}
			found = true
			if r.depth > 0 {
				continue
			}
			if r.depth = depths[i]; r.ticket != nil {
				r.ticket.Nested(r.depth)
			}
		}
		f.looked = began
		if f.pause = min(2*f.pause, slowest); found {
			f.pause = spacing
		}
		pause := max(f.pause, share*took)
		f.mu.Unlock()

		select {
		case <-f.stop:
		case <-time.After(pause):
		}
	}
}
