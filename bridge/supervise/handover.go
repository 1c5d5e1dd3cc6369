package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

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

// queues reports whether connections queue in the socket until a child accepts them. Then requests
// may be sent before the child is ready.
func (p *plan) queues() bool { return p.Ready == nil && p.Socket.Inherited() }

// acceptPatience is how long a child that listens is waited for to accept a connection, before it
// is connected to again.
const acceptPatience = 5 * time.Second

var errNotAccepted = fmt.Errorf("it listens, and does not accept a connection in %v", acceptPatience)

// askReady returns nil if a child is ready that gets no requests before.
func (sup *supervisor) askReady(ctx context.Context, s *proc.Socket, p *plan) error {
	if p.Ready != nil {
		return p.explain(s.Addr, p.Ready(ctx, s.Addr))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, acceptPatience, errNotAccepted)
	defer cancel()
	return p.explain(s.Addr, sup.program.accepts(ctx, s))
}

// explain adds to an error of connecting to a child how the child was told where to listen.
func (p *plan) explain(addr string, err error) error {
	if p.Socket.Inherited() || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("the command does not listen at %s: it is told that by %s; does it read that? (%w)", addr, p.toldBy(), err)
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
