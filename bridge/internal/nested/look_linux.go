package nested

import (
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/internal/sockdiag"
)

// socketOf returns this process's end of a connection to the application.
func socketOf(conn syscall.RawConn, local, remote net.Addr) (s socket) {
	if conn == nil {
		return s
	}
	var stat unix.Stat_t
	if err := conn.Control(func(fd uintptr) {
		if unix.Fstat(int(fd), &stat) == nil {
			s.inode = stat.Ino
		}
	}); err != nil {
		return socket{} // closed
	}
	if here, ok := local.(*net.TCPAddr); ok {
		if there, ok := remote.(*net.TCPAddr); ok {
			s.local, s.remote = unmapped(here.AddrPort()), unmapped(there.AddrPort())
			return s
		}
	}
	s.unix = true
	return s
}

// threadTime returns the processor time that this thread has used.
func threadTime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		return 0 // Linux has it
	}
	return time.Duration(now.Nano())
}

// scanProcesses is the scanFunc of Linux. What the kernel does not disclose is not found.
func scanProcesses(requests []*Request, listeners []uint64, at []int) (depths, application []int) {
	depths = make([]int, len(requests))
	d, err := sockdiag.Dial()
	if err != nil {
		return depths, at
	}
	defer d.Close()
	clients, serving := make([]uint64, len(requests)), make([]uint64, len(requests))
	wanted := make(map[uint64][]int)
	for _, inode := range listeners {
		wanted[inode] = nil
	}
	for i, r := range requests {
		clients[i], serving[i] = r.sockets(d)
		wanted[clients[i]], wanted[serving[i]] = nil, nil
	}
	delete(wanted, 0)
	findOwners(wanted, at)
	g := &graph{owners: wanted, listening: make(map[int]bool), appProcess: make(map[int]bool), clients: clients, serving: serving, depths: depths}
	for _, inode := range listeners {
		for _, pid := range wanted[inode] {
			g.listening[pid] = true
			application = append(application, pid)
		}
	}
	for i := range requests {
		depths[i] = g.depth(i, 0)
	}
	return depths, application
}

// sockets returns the inodes of the client's socket and of the application's socket for r, 0 if not
// known. The kernel is asked once for each.
func (r *Request) sockets(d *sockdiag.Conn) (client, serving uint64) {
	r.f.mu.Lock()
	r.resolve()
	served, alone := r.served, r.notNested
	r.f.mu.Unlock()
	if r.clientInode == 0 && !alone {
		r.clientInode = inodeOf(d, r.client, r.local)
	}
	if served == nil {
		r.serving = nil
		return r.clientInode, 0
	}
	if r.serving == nil || r.serving.on != *served || r.serving.inode == 0 {
		r.serving = &servingSocket{on: *served}
		switch {
		case served.inode == 0:
		case served.unix:
			if s, err := d.Unix(uint32(served.inode)); err == nil {
				r.serving.inode = uint64(s.Peer)
			}
		default:
			r.serving.inode = inodeOf(d, served.remote, served.local)
		}
	}
	return r.clientInode, r.serving.inode
}

// inodeOf returns the inode of the TCP socket with these ends, 0 if it is not known.
func inodeOf(d *sockdiag.Conn, local, remote netip.AddrPort) uint64 {
	s, err := d.TCP(local, remote)
	if err != nil {
		return 0
	}
	return uint64(s.Inode)
}

// graph says which processes have sent and which serve the requests.
type graph struct {
	owners           map[uint64][]int // the processes that hold a socket, by inode
	listening        map[int]bool     // processes that hold the application's listening socket
	appProcess       map[int]bool     // results of isApplication
	clients, serving []uint64         // by request: the inodes of the client's and of the application's socket
	depths           []int            // by request: results of depth, 0 if not known
}

// maxDepth bounds the depth that is determined.
const maxDepth = 8

// depth returns how deep request i is nested.
func (g *graph) depth(i, looks int) int {
	if g.depths[i] > 0 || looks == maxDepth {
		return g.depths[i]
	}
	for _, pid := range g.owners[g.clients[i]] {
		if !g.isApplication(pid) {
			continue
		}
		g.depths[i] = 1 + g.servingDepth(pid, looks)
		return g.depths[i]
	}
	return 0
}

// isApplication reports whether a process belongs to the application.
func (g *graph) isApplication(pid int) bool {
	known, ok := g.appProcess[pid]
	if ok {
		return known
	}
	for _, p := range lineage(pid) {
		if g.listening[p] {
			known = true
			break
		}
	}
	g.appProcess[pid] = known
	return known
}

// servingDepth returns how deep the request is nested that a process, or the ancestor of it, works on:
// 0 if there is none, or the process has several threads.
func (g *graph) servingDepth(pid, looks int) int {
	for _, p := range lineage(pid) {
		for i, inode := range g.serving {
			if inode == 0 || !holds(g.owners[inode], p) {
				continue
			}
			if threads(p) != 1 {
				return 0
			}
			return g.depth(i, looks+1)
		}
	}
	return 0
}

func holds(pids []int, pid int) bool {
	return slices.Contains(pids, pid)
}
