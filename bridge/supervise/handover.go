package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

// SocketMode is how a process gets its listening socket.
type SocketMode = proc.SocketMode

// The values of a SocketMode.
const (
	// SocketStdin has a process inherit the socket as file descriptor 0, as FastCGI has it.
	SocketStdin = proc.Stdin
	// SocketActivation has a process inherit the socket as file descriptor 3, and be told so by
	// LISTEN_PID and LISTEN_FDS, as systemd does it: see sd_listen_fds(3).
	SocketActivation = proc.Activation
	// SocketPort has a process make the socket, at a port that Sluice chooses and holds. It is told
	// by PORT in its environment, and by {port} and {address} in the arguments and in Config.Env.
	SocketPort = proc.Port
	// SocketPath has a process make a unix socket, in a directory that only its user can enter. It
	// is told by {socket} and {address} in the arguments and in Config.Env.
	SocketPath = proc.Path
)

// listens returns a Ready function for processes that make their sockets. ready may be nil.
func (p *plan) listens(ready func(context.Context, string) error) func(context.Context, string) error {
	if ready == nil {
		ready = connect
	}
	told := p.toldBy()
	return func(ctx context.Context, addr string) error {
		err := ready(ctx, addr)
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("the command does not listen at %s: it is told that by %s; does it read that? (%w)", addr, told, err)
		}
		return err
	}
}

// toldBy is what tells the command where to listen.
func (p *plan) toldBy() string {
	var by []string
	for _, word := range []string{"{address}", "{port}", "{socket}"} {
		if slices.ContainsFunc(p.Command, func(arg string) bool { return strings.Contains(arg, word) }) {
			by = append(by, word+" among its arguments")
		}
	}
	for _, kv := range p.Env {
		if name, value, _ := strings.Cut(kv, "="); strings.ContainsRune(value, '{') {
			by = append(by, name+" in its environment")
		}
	}
	if p.Socket == SocketPort && len(by) == 0 {
		return "PORT in its environment"
	}
	return strings.Join(by, " and ")
}

// connect returns nil if something listens at an address of a Socket.
func connect(ctx context.Context, addr string) error {
	network := "tcp"
	if path, isUnix := strings.CutPrefix(addr, "unix:"); isUnix {
		network, addr = "unix", path
	}
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return err
	}
	return c.Close()
}
