package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SocketMode is how a command gets its listening socket.
type SocketMode string

// The values of a SocketMode.
const (
	SocketStdin      SocketMode = "stdin"      // it inherits file descriptor 0
	SocketActivation SocketMode = "activation" // it inherits file descriptor 3, as systemd has it
	SocketPort       SocketMode = "port"       // it makes the socket, at a port that it is told
	SocketPath       SocketMode = "path"       // it makes the socket, at a path that it is told
)

// resolveSocket sets Socket: by what the command asks for, or else by what is usual for the
// protocol.
func (s *Spawn) resolveSocket(p Protocol) error {
	asksFor := func(word string) bool {
		has := func(text string) bool { return strings.Contains(text, word) }
		return slices.ContainsFunc(s.Command, has) || slices.ContainsFunc(slices.Collect(maps.Values(s.Env)), has)
	}
	address, port, path := asksFor("{address}"), asksFor("{port}"), asksFor("{socket}")
	if s.Socket == "" {
		s.Socket = usualSocket(p)
		switch {
		case port, address && !path && s.Listen != "":
			s.Socket = SocketPort
		case path, address:
			s.Socket = SocketPath
		case asksFor("fd://0"): // as gunicorn has it
			s.Socket = SocketStdin
		}
	}
	switch fixed, given := s.Env["PORT"]; {
	case s.Socket == SocketPort && path:
		return errors.New("spawn.socket: is port, and the command has {socket}, which is a path: write {address} or {port} there, or set spawn.socket to path")
	case s.Socket == SocketPort && given && !strings.Contains(fixed, "{port}"):
		return fmt.Errorf("spawn.env: PORT is %q, and Sluice sets it to the port that it chooses (to choose it yourself, set spawn.listen)", fixed)
	case s.Socket == SocketPath && port:
		return errors.New("spawn.socket: is path, and the command has {port}, which a unix socket has not: write {address} or {socket} there, or set spawn.socket to port")
	case s.Socket == SocketPath && !path && !address:
		return errors.New("spawn.socket: is path, and nothing tells the command the path: write {socket} or {address} where it belongs among its arguments")
	case s.Socket == SocketPath && s.Listen != "":
		return fmt.Errorf("spawn.listen: is %q, and the command listens on a unix socket (spawn.socket path): remove one of them", s.Listen)
	case s.Backlog > 0 && (s.Socket == SocketPort || s.Socket == SocketPath):
		return fmt.Errorf("spawn.backlog: the command makes its socket itself (spawn.socket %s), and the backlog with it: set it there", s.Socket)
	}
	return nil
}

// usualSocket is how programs that speak a protocol expect their socket.
func usualSocket(p Protocol) SocketMode {
	switch p {
	case FastCGI, SCGI, UWSGI:
		return SocketStdin
	}
	return SocketActivation
}
