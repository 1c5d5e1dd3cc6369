package nested

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Ticket receives how deep a request is nested, 0 if it is not.
type Ticket interface{ Nested(depth int) }

// scanFunc determines how deep each request is nested, 0 for not at all. listeners are the inodes of
// the sockets that the application listens on. It scans the processes in at, all if at is nil, and
// returns those that are the application's.
type scanFunc func(requests []*Request, listeners []uint64, at []int) (depths, application []int)

// A scan of the application's known processes takes a fraction of the time of a full scan, which also
// finds new processes and their children. schedule says when the next scan of a kind may begin.
type schedule struct {
	least, most time.Duration // bounds of pause
	pause       time.Duration
	next        time.Time
}

// restFactor is the least ratio of the time without scans to the processor time of a scan. How long a
// scan took is no measure: where others have the processors it takes long and costs nobody anything, and
// nested requests that wait meanwhile are not found before their time-out.
const restFactor = 20

// ran records a scan. While scans find nothing, the pause grows: the clients on this machine may be a
// proxy.
func (p *schedule) ran(cost time.Duration, found bool) {
	if p.pause = min(max(p.least, 2*p.pause), p.most); found {
		p.pause = p.least
	}
	p.next = time.Now().Add(max(p.pause, restFactor*cost))
}

// proactiveAfter is the time since the last scan after which a request that does not wait is scanned
// as well, so that nested requests are known before the first of them has to wait.
const proactiveAfter = 5 * time.Second

// Finder holds the requests in progress from clients on this machine. It is safe for concurrent use.
type Finder struct {
	listeners func() []uint64
	scan      scanFunc

	// Used by run only.
	appSchedule, fullSchedule schedule
	application               []int // processes found by the last full scan

	mu         sync.Mutex
	requests   map[*Request]struct{}
	numPending int       // requests that are pending
	lastScan   time.Time // when the last scan began
	running    bool      // run runs
	closed     bool
	ended      sync.WaitGroup
	stop       chan struct{}
}

// New returns a Finder. listeners returns the inodes of the sockets that the application listens on;
// it may be slow, and is called by one goroutine at a time.
func New(listeners func() []uint64) *Finder {
	return &Finder{
		listeners: listeners, scan: scanProcesses, requests: make(map[*Request]struct{}), stop: make(chan struct{}),
		appSchedule:  schedule{least: 2 * time.Millisecond, most: 250 * time.Millisecond},
		fullSchedule: schedule{least: 20 * time.Millisecond, most: time.Second},
	}
}

// Request is a request in progress, for use by the goroutine that serves it.
type Request struct {
	f             *Finder
	client, local netip.AddrPort // the two ends of its connection

	// Guarded by Finder.mu.
	ticket       Ticket
	pending      bool       // it waits for a scan
	pendingSince time.Time  // when it became pending
	served       *socket    // nil: none, or not known
	on           connection // whose socket served is, if that was not found out yet
	depth        int        // as found by a scan; 0: not known, or not nested
	notNested    bool       // a full scan has found that it is not nested

	// Results of scans that do not change. Used by Finder.run only.
	clientInode uint64 // of the client's socket; 0: not found
	serving     *servingSocket
}

// connection is a connection to the application.
type connection struct {
	raw           syscall.RawConn // nil: none
	local, remote net.Addr
}

// servingSocket is the application's end of the connection on which a request is served.
type servingSocket struct {
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

// Track returns a request that is in progress until End, or nil if its client's address is not one of
// this machine.
func (f *Finder) Track(client string, local net.Addr) *Request {
	at, ok := local.(*net.TCPAddr)
	if !ok || client == "" {
		return nil
	}
	// Most clients are on other machines, and need nothing more than this check.
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
	f.requests[r] = struct{}{}
	if time.Since(f.lastScan) >= proactiveAfter {
		f.enqueue(r)
	}
	return r
}

// enqueue makes r pending, and starts run if necessary.
func (f *Finder) enqueue(r *Request) {
	if r.pending {
		return
	}
	r.pending, r.pendingSince = true, time.Now()
	f.numPending++
	if !f.running && !f.closed {
		f.running = true
		f.ended.Go(f.run)
	}
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// Waits reports that the request waits with ticket t. t.Nested is called with the result of a scan.
func (r *Request) Waits(t Ticket) {
	f := r.f
	f.mu.Lock()
	defer f.mu.Unlock()
	r.setTicket(t)
	if _, here := f.requests[r]; here && r.depth == 0 && !r.notNested {
		f.enqueue(r)
	}
}

// setTicket sets the ticket, and passes a known result to it.
func (r *Request) setTicket(t Ticket) {
	if r.depth > 0 || r.notNested && r.ticket == nil {
		t.Nested(r.depth)
	}
	r.ticket = t
}

// Served reports that the request is sent to the application on conn. t is the ticket of a request
// that may not have waited.
func (r *Request) Served(t Ticket, conn syscall.RawConn, local, remote net.Addr) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	r.setTicket(t)
	if conn == nil {
		r.served, r.on = nil, connection{}
		return
	}
	// Most requests are never scanned, and have no use for the number of the socket.
	r.on = connection{conn, local, remote}
}

// resolve finds out the socket that the request is served on. The caller holds the mutex.
func (r *Request) resolve() {
	if on := r.on; on.raw != nil {
		served := socketOf(on.raw, on.local, on.remote)
		r.served, r.on = &served, connection{}
	}
}

// endPending removes the request from those that wait for a scan.
func (r *Request) endPending() {
	if r.pending {
		r.pending = false
		r.f.numPending--
	}
}

// End reports that the request has ended.
func (r *Request) End() {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	r.endPending()
	delete(r.f.requests, r)
}

// Close ends run, and waits for it.
func (f *Finder) Close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.stop)
	}
	f.mu.Unlock()
	f.ended.Wait()
}

// run scans while requests are pending.
func (f *Finder) run() {
	for {
		requests := f.toScan()
		if requests == nil {
			return
		}
		wait := f.fullSchedule.next
		if len(f.application) > 0 && f.appSchedule.next.Before(wait) {
			wait = f.appSchedule.next
		}
		if d := time.Until(wait); d > 0 {
			select {
			case <-f.stop:
			case <-time.After(d):
			}
			continue
		}
		began := time.Now()
		if len(f.application) > 0 && !began.Before(f.appSchedule.next) {
			depths, _, cost := f.costly(requests, f.application)
			left := f.record(requests, depths, began, false)
			f.appSchedule.ran(cost, left < len(requests))
			continue
		}
		depths, application, cost := f.costly(requests, nil)
		f.application = application
		left := f.record(requests, depths, began, true)
		f.fullSchedule.ran(cost, left < len(requests))
	}
}

// costly scans, and returns what that has taken of a processor as well.
func (f *Finder) costly(requests []*Request, at []int) (depths, application []int, cost time.Duration) {
	runtime.LockOSThread() // whose time it is
	defer runtime.UnlockOSThread()
	before := threadTime()
	depths, application = f.scan(requests, f.listeners(), at)
	return depths, application, threadTime() - before
}

// toScan returns the requests for a scan: those not known to be unnested, and those that others may be
// nested in. It returns nil if none is pending; run must then end.
func (f *Finder) toScan() []*Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.numPending == 0 {
		f.running = false
		return nil
	}
	requests := make([]*Request, 0, f.numPending)
	for r := range f.requests {
		if !r.notNested || r.served != nil && r.served.inode != 0 || r.on.raw != nil {
			requests = append(requests, r)
		}
	}
	return requests
}

// record passes the results to the tickets, and returns how many requests are not nested. After a full
// scan, those that were pending when it began need no further scan.
func (f *Finder) record(requests []*Request, depths []int, began time.Time, whole bool) (left int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastScan = began
	for i, r := range requests {
		if depths[i] == 0 {
			left++
		}
		if _, here := f.requests[r]; !here {
			continue
		}
		if depths[i] == 0 {
			if whole && r.pending && !r.pendingSince.After(began) {
				r.endPending()
				if r.notNested = true; r.ticket != nil {
					r.ticket.Nested(0)
				}
			}
			continue
		}
		r.endPending()
		if r.depth > 0 {
			continue
		}
		if r.depth = depths[i]; r.ticket != nil {
			r.ticket.Nested(r.depth)
		}
	}
	return left
}
