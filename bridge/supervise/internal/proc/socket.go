package proc

import (
	"cmp"
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

// Socket is where children listen, one after another.
type Socket struct {
	Addr string // as a setting of backends has it

	mode          SocketMode
	file          *os.File // that the children inherit; Port: holds the port; Path: nil
	name          string   // of the record of its child
	network, path string   // "unix" and its path; or "tcp" and host:port
	spare         string   // another name of the file at path; "": there is none
}

// SocketConfig is what a socket is to be.
type SocketConfig struct {
	Mode    SocketMode
	Addr    string // host:port; "": a unix socket in the directory, or with Port any port of 127.0.0.1
	Backlog int    // 0: what the system allows; it is for sockets that children inherit
}

// newSocket makes a socket in dir.
func newSocket(cfg SocketConfig, dir, name string) (*Socket, error) {
	switch {
	case cfg.Mode == Port:
		return holdPort(cmp.Or(cfg.Addr, "127.0.0.1:0"), name)
	case cfg.Mode == Path:
		return reservePath(dir, name)
	case cfg.Addr != "":
		return listenTCP(cfg, name)
	}
	return listenUnix(cfg, dir, name)
}

// The children inherit the descriptor of a socket that Sluice makes. This process accepts
// nothing on it: the net.Listener is closed at once, and its descriptor stays.

func listenTCP(cfg SocketConfig, name string) (*Socket, error) {
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("socket for the command: %w", err)
	}
	addr := l.Addr().String()
	return detach(l.(*net.TCPListener), cfg.Backlog, &Socket{Addr: addr, mode: cfg.Mode, name: name, network: "tcp", path: addr})
}

func listenUnix(cfg SocketConfig, dir, name string) (*Socket, error) {
	path := filepath.Join(dir, name+".sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket for the command: %w (is TMPDIR too long a path?)", err)
	}
	l.SetUnlinkOnClose(false)
	s := &Socket{Addr: "unix:" + path, mode: cfg.Mode, name: name, network: "unix", path: path}
	if spare := path + ".spare"; os.Link(path, spare) == nil { // where that is not possible, restore does nothing
		s.spare = spare
	}
	return detach(l, cfg.Backlog, s)
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
	if backlog > 0 {
		err = syscall.Listen(int(f.Fd()), backlog) // once more: it changes the backlog
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("socket for the command: %w", os.NewSyscallError("listen", err))
	}
	s.file = f
	return s, nil
}

// Release closes the descriptor alone, for a child that has it still.
func (s *Socket) Release() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

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

func (s *Socket) close() (err error) {
	if s.file != nil {
		err = s.file.Close()
	}
	switch {
	case s.mode == Path:
		err = errors.Join(err, os.RemoveAll(filepath.Dir(s.path)))
	case s.network == "unix":
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
			return context.Cause(ctx)
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
