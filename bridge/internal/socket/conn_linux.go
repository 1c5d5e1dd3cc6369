package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connected socket. Its methods may be called concurrently. Those that can wait, or say for
// how long to wait, make Go's network poller know it, for as long as it is open.
type Conn struct {
	local, remote net.Addr

	mu     sync.Mutex // held while the descriptor is used by Control: it is open as long as closed is false
	fd     int
	file   *os.File // has the descriptor, if the poller knows it; nil: it does not
	closed bool
}

// dialUnix connects to a unix socket. That never waits: either there is room in the backlog, or the
// error is EAGAIN.
func dialUnix(ctx context.Context, path string) (net.Conn, error) {
	remote := &net.UnixAddr{Name: path, Net: "unix"}
	failed := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "unix", Addr: remote, Err: err}
	}
	if err := context.Cause(ctx); err != nil {
		return failed(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return failed(os.NewSyscallError("socket", err))
	}
	for {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		_ = unix.Close(fd) // it was never connected
		return failed(os.NewSyscallError("connect", err))
	}
	return &Conn{local: unnamed, remote: remote, fd: fd}, nil
}

// unnamed is the address of this end, as package net has it.
var unnamed = &net.UnixAddr{Name: "@", Net: "unix"}

// unpolled takes a connection's socket away from the poller.
func unpolled(nc net.Conn) (net.Conn, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nc, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	fd, failed := -1, error(nil)
	err = raw.Control(func(of uintptr) { fd, failed = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, os.NewSyscallError("fcntl", failed)); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	c := &Conn{local: nc.LocalAddr(), remote: nc.RemoteAddr(), fd: fd}
	if err := nc.Close(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// polled has the poller know the socket.
func (c *Conn) polled() (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	if c.file == nil {
		c.file = os.NewFile(uintptr(c.fd), c.remote.String())
	}
	return c.file, nil
}

// failed returns err as package net has it.
func (c *Conn) failed(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
		if errno, ok := err.(syscall.Errno); ok {
			err = os.NewSyscallError(op, errno)
		}
	}
	if errors.Is(err, os.ErrClosed) {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: c.remote.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	f, err := c.polled()
	if err != nil {
		return 0, c.failed("read", err)
	}
	n, err := f.Read(b)
	return n, c.failed("read", err)
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	f, err := c.polled()
	if err != nil {
		return 0, c.failed("write", err)
	}
	n, err := f.Write(b)
	return n, c.failed("write", err)
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.mu.Lock()
	closed, file := c.closed, c.file
	c.closed = true
	if !closed && file == nil {
		defer c.mu.Unlock()
		return c.failed("close", unix.Close(c.fd))
	}
	c.mu.Unlock()
	if closed {
		return c.failed("close", net.ErrClosed)
	}
	return c.failed("close", file.Close())
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// CloseWrite ends what the application is sent.
func (c *Conn) CloseWrite() error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = unix.Shutdown(int(fd), unix.SHUT_WR) })
	return errors.Join(err, os.NewSyscallError("shutdown", failed))
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadline((*os.File).SetDeadline, t) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline((*os.File).SetReadDeadline, t)
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline((*os.File).SetWriteDeadline, t)
}

func (c *Conn) setDeadline(set func(*os.File, time.Time) error, t time.Time) error {
	f, err := c.polled()
	if err == nil {
		err = set(f, t)
	}
	return c.failed("set", err)
}

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return rawConn{c}, nil }

// rawConn is the syscall.RawConn of a Conn.
type rawConn struct{ *Conn }

// Control implements syscall.RawConn. f must not wait, nor use the connection otherwise.
func (c *Conn) Control(f func(fd uintptr)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.failed("raw-control", net.ErrClosed)
	}
	f(uintptr(c.fd))
	return nil
}

// Read implements syscall.RawConn.
func (c rawConn) Read(f func(fd uintptr) (done bool)) error {
	return c.wait("raw-read", syscall.RawConn.Read, f)
}

// Write implements syscall.RawConn.
func (c rawConn) Write(f func(fd uintptr) (done bool)) error {
	return c.wait("raw-write", syscall.RawConn.Write, f)
}

func (c rawConn) wait(op string, wait func(syscall.RawConn, func(fd uintptr) bool) error, f func(fd uintptr) bool) error {
	file, err := c.polled()
	if err != nil {
		return c.failed(op, err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return c.failed(op, err)
	}
	if err = wait(raw, f); err != nil && c.isClosed() {
		err = net.ErrClosed
	}
	return c.failed(op, err)
}

var (
	_ net.Conn     = (*Conn)(nil)
	_ syscall.Conn = (*Conn)(nil)
)
