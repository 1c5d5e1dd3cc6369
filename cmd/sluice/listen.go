package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// endpoint is an address to listen at. Its errors begin with the key of a setting.
type endpoint struct {
	key          string // listen or status
	addr         string
	mode         config.FileMode // of a unix socket
	owner, group string          // by name or number; "": unchanged
	nameOf       func(key string) string
}

func isUnix(addr string) bool {
	return strings.HasPrefix(addr, "unix:") || strings.HasPrefix(addr, "unix/")
}

// abstractName returns the name of a unix socket that is no file (unix(7)): unix:@name.
func abstractName(addr string) (name string, ok bool) {
	name, isUnix := strings.CutPrefix(addr, "unix:")
	return name, isUnix && strings.HasPrefix(name, "@")
}

// hasFile reports whether an address is a unix socket with a file, which has permissions.
func hasFile(addr string) bool {
	_, abstract := abstractName(addr)
	return isUnix(addr) && !abstract
}

// worldWritable reports whether every user of this machine may connect to the unix socket.
func (e *endpoint) worldWritable() bool {
	_, abstract := abstractName(e.addr)
	return abstract || isUnix(e.addr) && e.mode&0o002 != 0
}

// needsNoSocket refuses settings of a unix socket for an address that is none.
func needsNoSocket(key, addr string, mode config.FileMode, owner, group string, nameOf func(string) string) error {
	if hasFile(addr) {
		return nil
	}
	what := "_group"
	switch {
	case mode != 0:
		what = "_mode"
	case owner != "":
		what = "_owner"
	case group == "":
		return nil
	}
	return fmt.Errorf("%s%s: means nothing: %s is %s, which is no unix socket that is a file", key, what, nameOf(key), addr)
}

// check refuses what is no address to listen at: host:port, unix:/path or unix:@name. It opens nothing.
func (e *endpoint) check() error {
	if name, abstract := abstractName(e.addr); abstract {
		switch {
		case runtime.GOOS != "linux":
			return e.errorf("only Linux has sockets without a file; want unix:/path")
		case len(name) < 2 || len(name) > maxAbstract:
			return e.errorf("want a name of 1 to %d bytes after \"@\"", maxAbstract-1)
		}
		return nil
	}
	if isUnix(e.addr) {
		if _, _, err := config.ParseAddress(e.addr); err != nil {
			return e.errorf("%w", err)
		}
		return nil
	}
	if port, err := strconv.ParseUint(e.addr, 10, 16); err == nil {
		return e.errorf("that is a port alone: write \":%d\" for every address of this machine, or \"127.0.0.1:%[1]d\" for this machine only", port)
	}
	_, port, err := net.SplitHostPort(e.addr)
	if err != nil || port == "" {
		return e.errorf("want host:port, :port, unix:/path or unix:@name (an IPv6 address in brackets: [::1]:8080)")
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return e.errorf("%q is not a port", port)
	}
	return nil
}

// listen opens the address.
func (e *endpoint) listen() (net.Listener, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	if name, abstract := abstractName(e.addr); abstract {
		return e.listenAbstract(name)
	}
	if isUnix(e.addr) {
		l, err := e.listenUnix()
		if err != nil {
			return nil, e.errorf("%w", err)
		}
		return l, nil
	}
	// Of multipath TCP, a socket could not be closed without losing connections: see lastcall.
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	l, err := plain.Listen(context.Background(), "tcp", e.addr)
	if err != nil {
		return nil, e.errorf("%s", e.reason(err))
	}
	return l, nil
}

// errorf returns an error that begins with the key and the address.
func (e *endpoint) errorf(format string, args ...any) error {
	return fmt.Errorf("%s %q: %w", e.key, e.addr, fmt.Errorf(format, args...))
}

// maxAbstract is how long the name of an abstract socket may be, with its "@".
const maxAbstract = 107

func (e *endpoint) listenAbstract(name string) (net.Listener, error) {
	l, err := net.Listen("unix", name)
	if err != nil {
		return nil, e.errorf("%s", e.reason(err))
	}
	return l, nil
}

func (e *endpoint) listenUnix() (net.Listener, error) {
	_, path, err := config.ParseAddress(e.addr)
	if err != nil {
		return nil, err
	}
	if _, _, err := e.ids(); err != nil {
		return nil, err
	}
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, errors.New("another program listens there")
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		if err := removeStale(path); err != nil {
			return nil, err
		}
	}
	// No other user can connect before the permissions are set. Nothing else creates files yet.
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, errors.New(e.reason(err))
	}
	if err := e.permit(path); err != nil {
		_ = l.Close() // removes the socket
		return nil, err
	}
	return l, nil
}

// permit sets who may connect to a unix socket.
func (e *endpoint) permit(path string) error {
	uid, gid, err := e.ids()
	if err == nil && (uid >= 0 || gid >= 0) {
		err = os.Chown(path, uid, gid)
	}
	if err == nil {
		err = os.Chmod(path, fs.FileMode(e.mode))
	}
	return err
}

// ids returns the socket's owner and group, -1 for unchanged.
func (e *endpoint) ids() (uid, gid int, err error) {
	uid, gid = -1, -1
	if e.owner != "" {
		u, err := user.Lookup(e.owner)
		if err != nil {
			u, err = user.LookupId(e.owner)
		}
		switch n, numErr := strconv.Atoi(e.owner); {
		case err == nil:
			uid, _ = strconv.Atoi(u.Uid) // it is a number on these systems
		case numErr == nil && n >= 0:
			uid = n
		default:
			return 0, 0, fmt.Errorf("%s %q: there is no such user", e.nameOf(e.key+"_owner"), e.owner)
		}
	}
	if e.group != "" {
		g, err := user.LookupGroup(e.group)
		switch n, numErr := strconv.Atoi(e.group); {
		case err == nil:
			gid, _ = strconv.Atoi(g.Gid) // it is a number on these systems
		case numErr == nil && n >= 0:
			gid = n
		default:
			return 0, 0, fmt.Errorf("%s %q: there is no such group", e.nameOf(e.key+"_group"), e.group)
		}
	}
	return uid, gid, nil
}

// removeStale removes a socket that a killed program has left behind. It does not remove other files,
// to which connections are refused, too.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New("there is a file that is not a socket")
	}
	return os.Remove(path)
}

func (e *endpoint) reason(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && e.key == "status":
		return "the address is in use, perhaps by another sluice; give this one an address of its own" + e.nextPort() + ", or none (" + e.nameOf(e.key) + " off)"
	case errors.Is(err, syscall.EADDRINUSE):
		return "the address is in use (is another program listening there?)"
	case errors.Is(err, syscall.EACCES):
		return "permission denied (ports below 1024 need privileges)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine does not have that address"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// nextPort suggests the address with the next port.
func (e *endpoint) nextPort() string {
	host, port, err := net.SplitHostPort(e.addr)
	n, numErr := strconv.Atoi(port)
	if err != nil || numErr != nil || n >= 65535 {
		return ""
	}
	return fmt.Sprintf(" (%s %s)", e.nameOf(e.key), net.JoinHostPort(host, strconv.Itoa(n+1)))
}
