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

// Quiet reports whether a read on a socket that does not block would wait: the other side has neither
// sent anything nor closed.
func Quiet(fd int) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK)
	return err == syscall.EAGAIN
}
