package socket

import (
	"io"
	"net"
	"os"
	"syscall"
)

// Direct reads and writes a connection without waiting. Read is for one goroutine at a time, and so is
// Write.
type Direct struct {
	nc            net.Conn
	raw           syscall.RawConn
	in, out       transfer
	reads, writes func(fd uintptr) // made once: there are several calls for each request
}

// transfer is one call.
type transfer struct {
	buf []byte
	n   int
	err error
}

// NewDirect returns what reads and writes nc directly, nil if nc is no socket.
func NewDirect(nc net.Conn) *Direct {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	d := &Direct{nc: nc, raw: raw}
	d.reads = func(fd uintptr) { d.in.n, d.in.err = Read(int(fd), d.in.buf) }
	d.writes = func(fd uintptr) { d.out.n, d.out.err = Write(int(fd), d.out.buf) }
	return d
}

// Control is that of syscall.RawConn.
func (d *Direct) Control(f func(fd uintptr)) error { return d.raw.Control(f) }

// Read reads what has come. Its error is syscall.EAGAIN if that is nothing.
func (d *Direct) Read(b []byte) (int, error) {
	n, err := d.do("read", &d.in, d.reads, b)
	if n == 0 && err == nil && len(b) > 0 {
		err = io.EOF
	}
	return n, err
}

// Write writes what there is room for. Its error is syscall.EAGAIN if there is room for nothing.
func (d *Direct) Write(b []byte) (int, error) { return d.do("write", &d.out, d.writes, b) }

func (d *Direct) do(op string, t *transfer, call func(fd uintptr), b []byte) (int, error) {
	t.buf, t.err = b, syscall.EINTR
	var err error
	for t.err == syscall.EINTR && err == nil {
		err = d.raw.Control(call)
	}
	t.buf = nil
	switch {
	case err != nil:
		return 0, err
	case t.err == syscall.EAGAIN:
		return 0, syscall.EAGAIN
	case t.err != nil:
		return 0, &net.OpError{Op: op, Net: d.nc.RemoteAddr().Network(), Source: d.nc.LocalAddr(), Addr: d.nc.RemoteAddr(), Err: os.NewSyscallError(op, t.err)}
	}
	return t.n, nil
}
