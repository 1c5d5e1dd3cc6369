package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// endpoint is an address to listen at, of --listen or --status, and the permissions of a unix
// socket.
type endpoint struct {
	flag         string // "listen" or "status"
	addr         string
	mode         socketMode
	owner, group string // by name or number; "": unchanged
	set          *pflag.FlagSet
}

// registerSocket registers the flags for a unix socket.
func (e *endpoint) registerSocket(f *pflag.FlagSet, mode socketMode, who string) {
	e.set, e.mode = f, mode
	f.Var(&e.mode, e.flag+"-mode", "permissions of that unix socket, `MODE`; "+who)
	f.StringVar(&e.owner, e.flag+"-owner", "", "`USER` it belongs to, by name or number (default the user Sluice runs as)")
	f.StringVar(&e.group, e.flag+"-group", "", "`GROUP` it belongs to, by name or number (default the user's)")
}

// isUnix reports whether an address is that of a unix socket.
func isUnix(addr string) bool {
	return strings.HasPrefix(addr, "unix:") || strings.HasPrefix(addr, "unix/")
}

// worldWritable reports whether every user of this machine may connect to the unix socket.
func (e *endpoint) worldWritable() bool { return isUnix(e.addr) && e.mode&0o002 != 0 }

// check refuses flags for a unix socket if the address is none.
func (e *endpoint) check() error {
	if isUnix(e.addr) {
		return nil
	}
	for _, what := range []string{"-mode", "-owner", "-group"} {
		if e.set.Changed(e.flag + what) {
			return fmt.Errorf("--%s%s: means nothing: --%s is %s, which is no unix socket", e.flag, what, e.flag, e.addr)
		}
	}
	return nil
}

// listen opens the address: host:port, or unix:/path.
func (e *endpoint) listen() (net.Listener, error) {
	if isUnix(e.addr) {
		l, err := e.listenUnix()
		if err != nil {
			return nil, fmt.Errorf("--%s %s: %w", e.flag, e.addr, err)
		}
		return l, nil
	}
	if port, err := strconv.ParseUint(e.addr, 10, 16); err == nil {
		return nil, fmt.Errorf("--%s %s: that is a port alone: write \":%d\" for every address of this machine, or \"127.0.0.1:%[3]d\" for this machine only", e.flag, e.addr, port)
	}
	if _, _, err := net.SplitHostPort(e.addr); err != nil {
		return nil, fmt.Errorf("--%s %s: want host:port, :port or unix:/path", e.flag, e.addr)
	}
	l, err := net.Listen("tcp", e.addr)
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %s", e.flag, e.addr, e.reason(err))
	}
	return l, nil
}

func (e *endpoint) listenUnix() (net.Listener, error) {
	_, path, err := config.ParseAddress(e.addr)
	if err != nil {
		return nil, err
	}
	uid, gid, err := e.ids()
	if err != nil {
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
	if uid >= 0 || gid >= 0 {
		err = os.Chown(path, uid, gid)
	}
	if err == nil {
		err = os.Chmod(path, fs.FileMode(e.mode))
	}
	if err != nil {
		_ = l.Close() // removes the socket
		return nil, err
	}
	return l, nil
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
			return 0, 0, fmt.Errorf("--%s-owner %q: there is no such user", e.flag, e.owner)
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
			return 0, 0, fmt.Errorf("--%s-group %q: there is no such group", e.flag, e.group)
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
	case errors.Is(err, syscall.EADDRINUSE) && e.flag == "status":
		return "the address is in use, perhaps by another sluice; give this one an address of its own" + e.nextPort() + ", or none (--status off)"
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
	return fmt.Sprintf(" (--%s %s)", e.flag, net.JoinHostPort(host, strconv.Itoa(n+1)))
}

// socketMode is a flag for the permissions of a socket.
type socketMode fs.FileMode

func (m *socketMode) Type() string   { return "MODE" }
func (m *socketMode) String() string { return fmt.Sprintf("%04o", uint32(*m)) }

func (m *socketMode) Set(text string) error {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o777 {
		return errors.New("not a mode (write 0660, 0666)")
	}
	*m = socketMode(n)
	return nil
}
