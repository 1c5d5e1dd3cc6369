package supervise

import (
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
}

// listen makes the socket: in dir, or where the plan says.
func (p *plan) listen(dir string) (*socket, error) {
	if p.Listen != "" {
		l, err := net.Listen("tcp", p.Listen)
		if err != nil {
			return nil, fmt.Errorf("socket for the command: %w", err)
		}
		return p.detach(l.(*net.TCPListener), l.Addr().String())
	}
	path := filepath.Join(dir, "app.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket for the command: %w (is TMPDIR too long a path?)", err)
	}
	l.SetUnlinkOnClose(false)
	return p.detach(l, "unix:"+path)
}

// detach keeps the descriptor of a listener, which it closes.
func (p *plan) detach(l interface {
	File() (*os.File, error)
	Close() error
}, addr string,
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
	return &socket{f, addr}, nil
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
