package acceptqueue

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// listening is a socket with a known backlog that accepts nothing.
func listening(t *testing.T, domain int, at unix.Sockaddr, backlog int, options ...int) (fd int) {
	t.Helper()
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for _, o := range options {
		level := unix.SOL_SOCKET
		if o == unix.IPV6_V6ONLY {
			level = unix.IPPROTO_IPV6
		}
		if err := unix.SetsockoptInt(fd, level, o, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Bind(fd, at); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		t.Fatal(err)
	}
	return fd
}

func portOf(t *testing.T, fd int) int {
	t.Helper()
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		return at.Port
	case *unix.SockaddrInet6:
		return at.Port
	}
	t.Fatalf("%T has no port", at)
	return 0
}

func inodeOf(t *testing.T, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// connect opens n connections that stay open until the test ends.
func connect(t *testing.T, network, addr string, n int) {
	t.Helper()
	for range n {
		c, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
}

// want asks for the queue and compares.
func want(t *testing.T, network, addr string, depth, backlog int, fds ...int) {
	t.Helper()
	var inodes []uint64
	for _, fd := range fds {
		inodes = append(inodes, inodeOf(t, fd))
	}
	got, err := Of(network, addr)
	slices.Sort(got.Inodes)
	slices.Sort(inodes)
	if err != nil || got.Depth != depth || got.Backlog != backlog || !slices.Equal(got.Inodes, inodes) {
		t.Errorf("%s: %+v, %v, want %d waiting of %d, inodes %v", addr, got, err, depth, backlog, inodes)
	}
}

func TestUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd := listening(t, unix.AF_UNIX, &unix.SockaddrUnix{Name: path}, 7)
	want(t, "unix", path, 0, 7, fd)
	connect(t, "unix", path, 3)
	want(t, "unix", path, 3, 7, fd)

	accepted, _, err := unix.Accept(fd)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(accepted)
	want(t, "unix", path, 2, 7, fd)

	// A full backlog holds one more than it says.
	connect(t, "unix", path, 6)
	want(t, "unix", path, 8, 7, fd)
	if c, err := net.Dial("unix", path); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("a connection more: %v, %v", c, err)
	}
}

// The path need not be the one that was bound.
func TestUnixByOtherNames(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	fd := listening(t, unix.AF_UNIX, &unix.SockaddrUnix{Name: "relative"}, 3)
	if err := os.Symlink(filepath.Join(dir, "relative"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"relative", "link"} {
		want(t, "unix", filepath.Join(dir, name), 0, 3, fd)
	}
}

// After a restart two sockets have the same name; the file belongs to one.
func TestUnixReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listening(t, unix.AF_UNIX, &unix.SockaddrUnix{Name: path}, 5)
	connect(t, "unix", path, 2)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fd := listening(t, unix.AF_UNIX, &unix.SockaddrUnix{Name: path}, 9)
	connect(t, "unix", path, 1)
	want(t, "unix", path, 1, 9, fd)
}

func TestTCP(t *testing.T) {
	loopback4, loopback6 := [4]byte{127, 0, 0, 1}, [16]byte{15: 1}
	for _, c := range []struct {
		name    string
		domain  int
		at      unix.Sockaddr
		dial    []string // hosts that lead to it
		elsehow []string // hosts that do not
	}{
		{"127.0.0.1", unix.AF_INET, &unix.SockaddrInet4{Addr: loopback4}, []string{"127.0.0.1", "[::ffff:127.0.0.1]"}, []string{"127.0.0.2", "[::1]"}},
		{"0.0.0.0", unix.AF_INET, &unix.SockaddrInet4{}, []string{"127.0.0.1", "127.0.0.2"}, []string{"192.0.2.1", "[::1]"}},
		{"::1", unix.AF_INET6, &unix.SockaddrInet6{Addr: loopback6}, []string{"[::1]"}, []string{"127.0.0.1"}},
		{"::", unix.AF_INET6, &unix.SockaddrInet6{}, []string{"[::1]", "127.0.0.1"}, []string{"192.0.2.1", "[2001:db8::1]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fd := listening(t, c.domain, c.at, 11)
			port := ":" + strconv.Itoa(portOf(t, fd))
			connect(t, "tcp", c.dial[0]+port, 4)
			for _, host := range c.dial {
				want(t, "tcp", host+port, 4, 11, fd)
			}
			for _, host := range c.elsehow {
				if q, err := Of("tcp", host+port); !errors.Is(err, ErrNotHere) {
					t.Errorf("%s: %+v, %v", host, q, err)
				}
			}
		})
	}
}

func TestTCPOnlyIPv6(t *testing.T) {
	fd := listening(t, unix.AF_INET6, &unix.SockaddrInet6{}, 3, unix.IPV6_V6ONLY)
	port := ":" + strconv.Itoa(portOf(t, fd))
	want(t, "tcp", "[::1]"+port, 0, 3, fd)
	if q, err := Of("tcp", "127.0.0.1"+port); !errors.Is(err, ErrNotHere) {
		t.Errorf("%+v, %v", q, err)
	}
}

// The socket that is bound to the very address gets the connections.
func TestTCPNearest(t *testing.T) {
	exact := listening(t, unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}, 4, unix.SO_REUSEPORT)
	port := portOf(t, exact)
	every := listening(t, unix.AF_INET, &unix.SockaddrInet4{Port: port}, 6, unix.SO_REUSEPORT)
	at := ":" + strconv.Itoa(port)
	connect(t, "tcp", "127.0.0.1"+at, 2)
	want(t, "tcp", "127.0.0.1"+at, 2, 4, exact)
	want(t, "tcp", "127.0.0.2"+at, 0, 6, every)
}

func TestTCPShared(t *testing.T) {
	at := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	one := listening(t, unix.AF_INET, at, 4, unix.SO_REUSEPORT)
	at.Port = portOf(t, one)
	two := listening(t, unix.AF_INET, at, 6, unix.SO_REUSEPORT)
	addr := netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port)).String()
	connect(t, "tcp", addr, 5)
	want(t, "tcp", addr, 5, 10, one, two)
}

func TestNotHere(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	free := bound(t)
	for _, c := range []struct {
		network, addr string
		want          error
	}{
		{"unix", stale, ErrNotHere},
		{"unix", filepath.Join(dir, "absent"), os.ErrNotExist},
		{"tcp", free, ErrNotHere},
		{"udp", "127.0.0.1:9000", errors.ErrUnsupported},
	} {
		if q, err := Of(c.network, c.addr); !errors.Is(err, c.want) {
			t.Errorf("%s %s: %+v, %v, want %v", c.network, c.addr, q, err, c.want)
		}
	}
	if q, err := Of("tcp", "127.0.0.1:no-such-port"); err == nil {
		t.Errorf("a port that is none: %+v", q)
	}
}

// bound is an address that nobody listens at, nor can until the test ends: a socket is bound
// to it that does not.
func bound(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(at.(*unix.SockaddrInet4).Port))
}

// What the kernel sends is checked before it is looked at.
func TestShortAnswers(t *testing.T) {
	for n := range unixFixed {
		if _, err := parseUnix(make([]byte, n)); !errors.Is(err, errShort) {
			t.Errorf("%d bytes of unix_diag_msg: %v", n, err)
		}
	}
	for n := range inetFixed {
		if _, err := parseTCP(make([]byte, n)); !errors.Is(err, errShort) {
			t.Errorf("%d bytes of inet_diag_msg: %v", n, err)
		}
	}
}

func BenchmarkOf(b *testing.B) {
	path := filepath.Join(b.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer tcp.Close()
	for _, at := range []net.Addr{l.Addr(), tcp.Addr()} {
		b.Run(at.Network(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Of(at.Network(), at.String()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
