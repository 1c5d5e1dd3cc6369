package socket

import (
	"context"
	"net"
)

// Dial connects to an address of a network ("unix", "tcp"). Its errors are those of a net.Dialer.
func Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if network == "unix" {
		return dialUnix(ctx, addr)
	}
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return unpolled(nc)
}
