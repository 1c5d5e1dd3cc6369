package bridge

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/internal/acceptqueue"
	"github.com/sluice-proxy/sluice/bridge/internal/unread"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// ParseAddress splits a backend address into what net.Dial takes: unix:/path
// and unix//path are unix sockets, everything else is host:port over TCP.
func ParseAddress(s string) (network, addr string, err error) {
	rest, isUnix := strings.CutPrefix(s, "unix:")
	if !isUnix {
		rest, isUnix = strings.CutPrefix(s, "unix/")
	}
	if isUnix {
		if !strings.HasPrefix(rest, "/") {
			return "", "", fmt.Errorf("address %q: the socket's path must be absolute, such as unix:/run/app.sock", s)
		}
		// sun_path holds 108 bytes with its final zero on Linux, 104 on BSD and macOS.
		if len(rest) > 103 {
			return "", "", fmt.Errorf("address %q: the socket's path is %d bytes, and the system takes at most 103", s, len(rest))
		}
		return "unix", rest, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || port == "" || strings.Contains(host, "/") {
		return "", "", fmt.Errorf("address %q: want unix:/path or host:port", s)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", "", fmt.Errorf("address %q: %q is not a port", s, port)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

// instances turns the configured addresses into what the pool dials.
func (c *Config) instances() ([]pool.Instance, error) {
	seen := make(map[string]bool)
	var list []pool.Instance
	for _, s := range c.Backends {
		network, addr, err := ParseAddress(s)
		if err != nil {
			return nil, fmt.Errorf("backends: %w", err)
		}
		if seen[network+addr] {
			return nil, fmt.Errorf("backends: %s is named twice", s)
		}
		seen[network+addr] = true
		list = append(list, c.instance(s, network, addr))
	}
	return list, nil
}

// instance is one of the application's, at an address that was split.
func (c *Config) instance(name, network, addr string) pool.Instance {
	return pool.Instance{
		Addr:    name,
		Dial:    func(ctx context.Context) (net.Conn, error) { return c.dial(ctx, network, addr) },
		Queue:   acceptQueue(network, addr),
		Relayed: network != "unix",
		Unread:  c.unread,
	}
}

// unreadOf returns what tells how much of what was written to a connection was not read,
// nil if nothing does.
func unreadOf(c net.Conn) pool.Unread {
	if u := unread.Of(c); u != nil {
		return u
	}
	return nil
}

// acceptQueue returns a function that asks the kernel how many connections wait at
// an address, nil if that is a name: a snapshot must not wait for it to be looked
// up.
func acceptQueue(network, addr string) func() (depth, backlog int, err error) {
	if host, _, _ := net.SplitHostPort(addr); network != "unix" && net.ParseIP(host) == nil {
		return nil
	}
	return func() (int, int, error) {
		q, err := acceptqueue.Of(network, addr)
		return q.Depth, q.Backlog, err
	}
}
