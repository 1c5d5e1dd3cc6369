//go:build linux

package systemd

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// first is where tests have descriptors handed over: above those of the test itself.
const first = 200

// handOver puts sockets where systemd would, and sets its variables.
func handOver(t *testing.T, names string, files ...*os.File) {
	t.Helper()
	for i, f := range files {
		if err := unix.Dup3(int(f.Fd()), first+i, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(first + i) }) // its owner may have closed it
	}
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	t.Setenv("LISTEN_FDS", strconv.Itoa(len(files)))
	t.Setenv("LISTEN_FDNAMES", names)
}

// listening is a listening socket, and where.
func listening(t *testing.T) (*os.File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, path
}

func TestSockets(t *testing.T) {
	a, pathA := listening(t)
	b, pathB := listening(t)
	c, pathC := listening(t)
	handOver(t, "web:gate:web", a, b, c)
	s, err := inherit(first)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if flags, err := unix.FcntlInt(uintptr(first+i), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d has flags %d, %v: processes would inherit it", first+i, flags, err)
		}
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if value, ok := os.LookupEnv(name); ok {
			t.Errorf("%s is still %q", name, value)
		}
	}
	if none, err := s.Take("other"); err != nil || len(none) > 0 {
		t.Errorf("%v, %v for a name that there is not", none, err)
	}
	addrs := func(name string) (list []string) {
		t.Helper()
		taken, err := s.Take(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range taken {
			list = append(list, l.Addr().String())
			conn, err := net.Dial("unix", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(l.Addr().String()); err != nil {
				t.Errorf("the socket of systemd was removed: %v", err)
			}
		}
		return list
	}
	if got, want := addrs("web"), []string{pathA, pathC}; !slices.Equal(got, want) {
		t.Errorf("web is %v, want %v", got, want)
	}
	if left := s.Names(); !slices.Equal(left, []string{"gate"}) {
		t.Errorf("left are %v", left)
	}
	if got, want := addrs(""), []string{pathB}; !slices.Equal(got, want) {
		t.Errorf("the rest is %v, want %v", got, want)
	}
	if left := s.Names(); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
	for i := range 3 {
		if _, err := unix.FcntlInt(uintptr(first+i), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("descriptor %d is still open", first+i)
		}
	}
}

func TestSocketsThatNobodyTakes(t *testing.T) {
	a, _ := listening(t)
	handOver(t, "", a)
	s, err := inherit(first)
	if err != nil {
		t.Fatal(err)
	}
	if left := s.Names(); !slices.Equal(left, []string{"unknown"}) {
		t.Errorf("left are %v", left)
	}
	s.Close()
	s.Close()
	if _, err := unix.FcntlInt(first, unix.F_GETFD, 0); err != unix.EBADF {
		t.Error("the descriptor is still open")
	}
}

func TestOthersSockets(t *testing.T) {
	for _, pid := range []string{"", "1"} {
		a, _ := listening(t)
		handOver(t, "web", a)
		t.Setenv("LISTEN_PID", pid)
		if s, err := inherit(first); err != nil || len(s.Names()) > 0 {
			t.Errorf("LISTEN_PID is %q: %v, %v", pid, s, err)
		}
	}
}

func TestNoListeningSockets(t *testing.T) {
	datagrams, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "d"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	datagram, err := datagrams.File()
	if err != nil {
		t.Fatal(err)
	}
	defer datagram.Close()
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	good, _ := listening(t)
	for _, tt := range []struct {
		number string
		files  []*os.File
		want   string
	}{
		{"1", []*os.File{datagram}, "(web), which systemd hands over, is a socket that does not listen"},
		{"1", []*os.File{file}, "(web), which systemd hands over, is no socket"},
		{"2", []*os.File{good}, "LISTEN_FDS is 2, but descriptor 201 (unknown) is not open"},
		{"x", nil, `LISTEN_FDS is "x", want the number`},
		{"-1", nil, `LISTEN_FDS is "-1", want the number`},
	} {
		handOver(t, "web", tt.files...)
		t.Setenv("LISTEN_FDS", tt.number)
		if _, err := inherit(first); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
}
