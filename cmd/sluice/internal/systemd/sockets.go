package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// firstDescriptor is that of the first socket: SD_LISTEN_FDS_START.
const firstDescriptor = 3

// Sockets are the sockets that systemd has handed over to this process.
type Sockets struct{ left []socket }

// Socket is one that was taken.
type Socket struct {
	Name string // FileDescriptorName= of its unit, otherwise the unit's name
	net.Listener
}

// socket is a listening socket that nobody has taken.
type socket struct {
	name string
	file *os.File
}

// SocketVariables are those by which systemd tells a process of its sockets. They are of no use to others.
var SocketVariables = []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"}

// Inherit returns the sockets of LISTEN_FDS. It is called once, before the process starts others.
func Inherit() (*Sockets, error) { return inherit(firstDescriptor) }

func inherit(first int) (*Sockets, error) {
	count, names, err := announced()
	if err != nil {
		return nil, err
	}
	s := new(Sockets)
	for i := range count {
		fd := first + i
		name := "unknown" // as sd_listen_fds_with_names(3) calls it
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, fmt.Errorf("LISTEN_FDS is %d, but descriptor %d (%s) is not open: %w", count, fd, name, err)
		}
		switch listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); {
		case err != nil:
			return nil, fmt.Errorf("descriptor %d (%s), which systemd hands over, is no socket: %w", fd, name, err)
		case listens == 0:
			return nil, fmt.Errorf("descriptor %d (%s), which systemd hands over, is a socket that does not listen: want ListenStream= and Accept=no in the socket unit", fd, name)
		}
		s.left = append(s.left, socket{name, os.NewFile(uintptr(fd), name)})
	}
	return s, nil
}

// announced reads how many sockets there are for this process, and their names, and removes the
// variables.
func announced() (count int, names []string, err error) {
	pid, number := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	if text := os.Getenv("LISTEN_FDNAMES"); text != "" {
		names = strings.Split(text, ":")
	}
	for _, name := range SocketVariables {
		if err := os.Unsetenv(name); err != nil {
			return 0, nil, err
		}
	}
	if number == "" || pid != strconv.Itoa(os.Getpid()) {
		return 0, nil, nil // those are another process's
	}
	count, err = strconv.Atoi(number)
	if err != nil || count < 0 || count > 1<<16 {
		return 0, nil, fmt.Errorf("LISTEN_FDS is %q, want the number of sockets that are handed over", number)
	}
	return count, names, nil
}

// Take returns the sockets of that name, or all that are left if it is empty. They are the caller's.
func (s *Sockets) Take(name string) (taken []Socket, err error) {
	var left []socket
	for _, l := range s.left {
		if name != "" && l.name != name {
			left = append(left, l)
			continue
		}
		listener, listenErr := net.FileListener(l.file) // has a descriptor of its own
		err = errors.Join(err, listenErr, l.file.Close())
		if listenErr == nil {
			taken = append(taken, Socket{l.name, listener})
		}
	}
	s.left = left
	if err != nil {
		for _, l := range taken {
			_ = l.Close() // nothing was accepted
		}
		return nil, err
	}
	return taken, nil
}

// Add adds a listening socket: one that was taken, or that the former process has handed over.
func (s *Sockets) Add(name string, file *os.File) { s.left = append(s.left, socket{name, file}) }

// Each calls f with the name of each socket that is left, and a file that is f's.
func (s *Sockets) Each(f func(name string, file *os.File)) error {
	for _, l := range s.left {
		listener, err := net.FileListener(l.file) // Fd would make the socket block, in all processes that have it
		if err != nil {
			return err
		}
		file, err := listener.(interface{ File() (*os.File, error) }).File()
		if err = errors.Join(err, listener.Close()); err != nil {
			return err
		}
		f(l.name, file)
	}
	return nil
}

// Names are those of the sockets that are left.
func (s *Sockets) Names() (names []string) {
	for _, l := range s.left {
		names = append(names, l.name)
	}
	return names
}

// Close closes the sockets that are left.
func (s *Sockets) Close() {
	for _, l := range s.left {
		_ = l.file.Close() // nothing was accepted
	}
	s.left = nil
}
