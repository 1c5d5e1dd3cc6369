package proc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/acceptqueue"
)

// Socket is a listening socket for children, one after another. This process accepts
// nothing on it: the net.Listener is closed at once, and its descriptor stays.
type Socket struct {
	Addr string // as a setting of backends has it

	file          *os.File
	name          string // of the record of its child
	network, path string // "unix" and its path; or "tcp" and host:port
	spare         string // another name of the file at path; "": there is none
}

func listenTCP(addr, name string, backlog int) (*Socket, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("socket for the command: %w", err)
	}
	addr = l.Addr().String()
	return detach(l.(*net.TCPListener), backlog, &Socket{Addr: addr, name: name, network: "tcp", path: addr})
}

func listenUnix(dir, name string, backlog int) (*Socket, error) {
	path := filepath.Join(dir, name+".sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket for the command: %w (is TMPDIR too long a path?)", err)
	}
	l.SetUnlinkOnClose(false)
	s := &Socket{Addr: "unix:" + path, name: name, network: "unix", path: path}
	if spare := path + ".spare"; os.Link(path, spare) == nil { // where that is not possible, restore does nothing
		s.spare = spare
	}
	return detach(l, backlog, s)
}

// detach closes a listener, and keeps its descriptor in s.
func detach(l interface {
	File() (*os.File, error)
	Close() error
}, backlog int, s *Socket,
) (*Socket, error) {
	defer l.Close() // the descriptor is what counts
	f, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("socket for the command: %w", err)
	}
	fd := int(f.Fd())
	// Programs that were written for a socket of their own expect accept to wait.
	if err = syscall.SetNonblock(fd, false); err == nil && backlog > 0 {
		err = syscall.Listen(fd, backlog) // once more: it changes the backlog
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("socket for the command: %w", os.NewSyscallError("listen", err))
	}
	s.file = f
	return s, nil
}

// Release closes the descriptor alone, for a child that has it still.
func (s *Socket) Release() { _ = s.file.Close() }

// restore brings back the file of a unix socket that a child has removed at its end, as gunicorn
// does: the socket still listens, and connections to it wait for the next child.
func (s *Socket) restore() error {
	if s.spare == "" {
		return nil
	}
	if err := os.Link(s.spare, s.path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (s *Socket) close() error {
	err := s.file.Close()
	if s.network == "unix" {
		err = errors.Join(err, remove(s.path))
	}
	if s.spare != "" {
		err = errors.Join(err, remove(s.spare))
	}
	return err
}

// remove removes a file that may have been removed by a child.
func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Queued is how many connections wait to be accepted, if the system tells.
func (s *Socket) Queued() (n int, known bool) {
	q, err := acceptqueue.Of(s.network, s.path)
	return q.Depth, err == nil
}

// mostAcceptPause is how long AwaitAccept waits between two looks at the queue, at most.
const mostAcceptPause = 250 * time.Millisecond

// AwaitAccept connects to the socket, to which nothing else may connect meanwhile, and waits
// until the child has accepted that connection. There is no event for that: the queue is
// read again and again. Where the system does not show the queue, it returns at once.
func (s *Socket) AwaitAccept(ctx context.Context) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, s.network, s.path)
	if err != nil {
		return err
	}
	defer c.Close()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, mostAcceptPause) {
		if n, known := s.Queued(); !known || n == 0 {
			return nil
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// MaxBacklog is the largest backlog that the system allows; it cuts larger ones silently.
func MaxBacklog() int {
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
