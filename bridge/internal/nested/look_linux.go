package nested

import (
	"net"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/internal/sockdiag"
)

// socketOf is the socket of a connection to the application.
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
		return socket{} // it is closed
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

// lookNow asks the kernel. What it does not tell is not found.
func lookNow(requests []*Request, listeners []uint64, at []int) (depths, application []int) {
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
	g := &graph{owners: wanted, listening: make(map[int]bool), isOurs: make(map[int]bool), clients: clients, serving: serving, depths: depths}
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

// sockets returns the inodes of the socket that r comes from and of the one that the
// application has it on, 0 for what is not known. The kernel is asked once for each.
func (r *Request) sockets(d *sockdiag.Conn) (client, serving uint64) {
	r.f.mu.Lock()
	served, alone := r.served, r.alone
	r.f.mu.Unlock()
	if r.from == 0 && !alone {
		r.from = inodeOf(d, r.client, r.local)
	}
	if served != r.worked.on || r.worked.inode == 0 {
		r.worked = worked{on: served}
		switch {
		case served.inode == 0:
		case served.unix:
			if s, err := d.Unix(uint32(served.inode)); err == nil {
				r.worked.inode = uint64(s.Peer)
			}
		default:
			r.worked.inode = inodeOf(d, served.remote, served.local)
		}
	}
	return r.from, r.worked.inode
}

// inodeOf returns the inode of the TCP socket with these ends, 0 if it is not known.
func inodeOf(d *sockdiag.Conn, local, remote netip.AddrPort) uint64 {
	s, err := d.TCP(local, remote)
	if err != nil {
		return 0
	}
	return uint64(s.Inode)
}

// graph is who has sent what and works on what.
type graph struct {
	owners           map[uint64][]int // of sockets: processes
	listening        map[int]bool     // processes that hold the application's listening socket
	isOurs           map[int]bool     // known already
	clients, serving []uint64         // by request: the socket it comes from, and the one the application has it on
	depths           []int            // known already, if not 0
}

// mostDeep is how deep requests may be nested for it to be told.
const mostDeep = 8

// depth is how deep request i is nested.
func (g *graph) depth(i, looks int) int {
	if g.depths[i] > 0 || looks == mostDeep {
		return g.depths[i]
	}
	for _, pid := range g.owners[g.clients[i]] {
		if !g.ours(pid) {
			continue
		}
		g.depths[i] = 1 + g.workedOn(pid, looks)
		return g.depths[i]
	}
	return 0
}

// ours reports whether a process is the application's.
func (g *graph) ours(pid int) bool {
	known, ok := g.isOurs[pid]
	if ok {
		return known
	}
	for _, p := range lineage(pid) {
		if g.listening[p] {
			known = true
			break
		}
	}
	g.isOurs[pid] = known
	return known
}

// workedOn is how deep the request is nested that a process works on, itself or as the
// child of one that does: 0 if that is none, or it is not known which.
func (g *graph) workedOn(pid, looks int) int {
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
