package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// The ways in which an answer can fail to arrive.
var (
	errSilent = errors.New("no answer came in time")
	errClosed = errors.New("the connection was closed before an answer came")
	errCut    = errors.New("the connection was closed in the middle of an answer")
	errSlow   = errors.New("an answer began and did not end in time")
)

// notFastCGIError holds the first bytes of an answer that is not FastCGI.
type notFastCGIError struct{ begin []byte }

func (e *notFastCGIError) Error() string { return "the answer is not FastCGI" }

// conn is one connection to the application. The stage of the probe that opened it closes it.
type conn struct {
	net.Conn
	release func() bool // ends the watch for the end of the probe's context
	buf     []byte      // read and not decoded yet
	id      uint16      // of the last request; late records of earlier ones are not its answer
	sent    time.Time   // when it was sent
}

// dial connects. The connection is closed when the probe's context ends, even during a read.
func (p *prober) dial() (*conn, error) {
	ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
	defer cancel()
	nc, err := p.cfg.Dial(ctx)
	if err != nil {
		return nil, &pool.DialError{Addr: p.cfg.Address, Err: err}
	}
	return &conn{Conn: nc, release: context.AfterFunc(p.ctx, func() { _ = nc.Close() })}, nil
}

// close closes the connection. It may be called more than once.
func (c *conn) close() {
	c.release()
	_ = c.Close() // nothing was sent that could be lost
}

// send writes b. It returns no error: the next read reports a closed connection.
func (c *conn) send(b []byte, timeout time.Duration) {
	_ = c.SetWriteDeadline(time.Now().Add(timeout))
	_, _ = c.Write(b)
}

// record reads one record. It is valid until the next call.
func (c *conn) record(deadline time.Time) (fcgi.Record, error) {
	for {
		rec, rest, err := fcgi.DecodeRecord(c.buf)
		if err == nil {
			c.buf = rest
			return rec, nil
		}
		if !errors.Is(err, fcgi.ErrShort) {
			return fcgi.Record{}, &notFastCGIError{c.buf}
		}
		if err := c.fill(deadline); err != nil {
			return fcgi.Record{}, err
		}
	}
}

// fill reads the bytes that are available, waiting for the first until deadline.
func (c *conn) fill(deadline time.Time) error {
	const chunk = 16 << 10
	if err := c.SetReadDeadline(deadline); err != nil {
		return err
	}
	c.buf = slices.Grow(c.buf, chunk)
	n, err := c.Read(c.buf[len(c.buf) : len(c.buf)+chunk])
	c.buf = c.buf[:len(c.buf)+n]
	switch {
	case n > 0:
		return nil
	case len(c.buf) > 0 && c.buf[0] != fcgi.Version:
		return &notFastCGIError{c.buf} // too short for a record
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSilent
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errClosed
	}
	return err
}

// closes reports whether the application closes the connection within d.
func (c *conn) closes(d time.Duration) bool {
	for deadline := time.Now().Add(d); ; {
		switch err := c.fill(deadline); {
		case errors.Is(err, errSilent):
			return false
		case err != nil:
			return true
		}
	}
}
