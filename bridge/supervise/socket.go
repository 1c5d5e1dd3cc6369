package supervise

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// socket is the listening socket. Nobody accepts on it here: the listener is closed
// again, and its descriptor stays for the children.
type socket struct {
	file *os.File
	addr string // as bridge.Config.Backends takes it
	name string // no other of the group has had it
	path string // of a unix socket; "" if it is none
}

// listen makes a socket of that name: in dir, or where the plan says.
func (p *plan) listen(dir, name string) (*socket, error) {
	if p.Listen != "" {
		l, err := net.Listen("tcp", p.Listen)
		if err != nil {
			return nil, fmt.Errorf("socket for the command: %w", err)
		}
		return p.detach(l.(*net.TCPListener), &socket{addr: l.Addr().String(), name: name})
	}
	path := filepath.Join(dir, name+".sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket for the command: %w (is TMPDIR too long a path?)", err)
	}
	l.SetUnlinkOnClose(false)
	return p.detach(l, &socket{addr: "unix:" + path, name: name, path: path})
}

// detach keeps the descriptor of a listener, which it closes, in s.
func (p *plan) detach(l interface {
	File() (*os.File, error)
	Close() error
}, s *socket,
) (*socket, error) {
	defer l.Close() // the descriptor is what counts
	f, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("socket for the command: %w", err)
	}
	fd := int(f.Fd())
	// Programs that were written for a socket of their own expect accept to wait.
	if err = syscall.SetNonblock(fd, false); err == nil && p.Backlog > 0 {
		err = syscall.Listen(fd, p.Backlog) // once more: it changes the backlog
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("socket for the command: %w", os.NewSyscallError("listen", err))
	}
	s.file = f
	return s, nil
}

// close gives the socket up.
func (s *socket) close() error {
	err := s.file.Close()
	if s.path != "" {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}

// hasFixedPort reports whether there can be only one socket.
func (p *plan) hasFixedPort() bool {
	_, port, err := net.SplitHostPort(p.Listen)
	return err == nil && port != "0"
}

// maxBacklog is the most the system allows; above, it cuts without a word.
func maxBacklog() int {
	text, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		return math.MaxInt // another system
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return math.MaxInt
	}
	return n
}
