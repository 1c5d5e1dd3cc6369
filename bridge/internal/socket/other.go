//go:build !linux

package socket

import (
	"context"
	"net"
	"syscall"
)

func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", path)
}

func unpolled(nc net.Conn) (net.Conn, error) { return nc, nil }

// Read reads from a descriptor that does not block.
func Read(fd int, b []byte) (int, error) { return syscall.Read(fd, b) }

// Write writes to a descriptor that does not block.
func Write(fd int, b []byte) (int, error) { return syscall.Write(fd, b) }
