package sockdiag

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sluice-proxy/sluice/internal/socktest"
)

// inode is what the file system says.
func inode(t *testing.T, c net.Conn) uint32 {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &stat) }); err != nil {
		t.Fatal(err)
	}
	return uint32(stat.Ino)
}

func ends(c net.Conn) (local, remote netip.AddrPort) {
	return c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
}

// Each end of a connection is found by its own addresses, or from the other one, and has so
// many bytes to read.
func TestEnds(t *testing.T) {
	d, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, k := range socktest.Kinds {
		t.Run(k.Name, func(t *testing.T) {
			near, far := k.Connect(t)
			if _, err := near.Write(make([]byte, 1016)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(far, make([]byte, 8)); err != nil {
				t.Fatal(err)
			}
			for c, want := range map[net.Conn]struct{ own, peer, unread uint32 }{
				near: {inode(t, near), inode(t, far), 0},
				far:  {inode(t, far), inode(t, near), 1008},
			} {
				if k.Network == "unix" {
					got, err := d.Unix(want.own)
					if err != nil || got != (Unix{Peer: want.peer, Unread: want.unread}) {
						t.Errorf("%+v, %v, want %+v", got, err, want)
					}
					continue
				}
				got, err := d.TCP(ends(c))
				if err != nil || got != (TCP{Inode: want.own, Unread: want.unread}) {
					t.Errorf("%+v, %v, want %+v", got, err, want)
				}
			}
		})
	}
}

// What is not there is not found, and the next question is answered.
func TestNotFound(t *testing.T) {
	d, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	near, _ := socktest.IPv4.Connect(t)
	local, remote := ends(near)
	if s, err := d.TCP(netip.AddrPortFrom(local.Addr(), 1), remote); !errors.Is(err, ErrNotFound) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := d.Unix(inode(t, near)); !errors.Is(err, ErrNotFound) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := d.TCP(local, remote); err != nil || s.Inode != inode(t, near) {
		t.Errorf("%+v, %v", s, err)
	}
}

// A question takes no memory: it is asked for thousands of requests.
func TestAllocations(t *testing.T) {
	d, err := Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	near, _ := socktest.IPv4.Connect(t)
	local, remote := ends(near)
	other, _ := socktest.Unix.Connect(t)
	ino := inode(t, other)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = d.TCP(local, remote)
		_, _ = d.Unix(ino)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// An answer that ends too early, is to another question or is an error, is one.
func TestContent(t *testing.T) {
	good := append([]byte{20, 0, 0, 0, 20, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0}, 1, 2, 3, 4)
	if b, err := content(good, 7); err != nil || len(b) != 4 {
		t.Errorf("% x, %v", b, err)
	}
	for n := range good {
		if _, err := content(good[:n], 7); !errors.Is(err, errShort) {
			t.Errorf("the first %d bytes: %v, want %v", n, err, errShort)
		}
	}
	if _, err := content(good, 8); !errors.Is(err, errOther) {
		t.Errorf("%v, want %v", err, errOther)
	}
	for errno, want := range map[byte]error{2: ErrNotFound, 22: unix.EINVAL} { // ENOENT, EINVAL
		refusal := []byte{20, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, -errno, 255, 255, 255}
		if _, err := content(refusal, 7); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	other := []byte{16, 0, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0}
	if _, err := content(other, 7); !errors.Is(err, errOther) {
		t.Errorf("%v, want %v", err, errOther)
	}
}
