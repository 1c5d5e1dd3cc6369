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

// How a connection can fail to bring an answer.
var (
	errSilent = errors.New("no answer came in time")
	errClosed = errors.New("the connection was closed before an answer came")
	errCut    = errors.New("the connection was closed in the middle of an answer")
	errSlow   = errors.New("an answer began and did not end in time")
)

// foreignError holds the first bytes of something that is not FastCGI.
type foreignError struct{ said []byte }

func (e *foreignError) Error() string { return "what came is not FastCGI" }

// conn is one connection to the application. It belongs to one stage of the
// probe, which closes it.
type conn struct {
	net.Conn
	release func() bool // no longer closed by the probe's context
	in      []byte      // that was read and not decoded yet
	id      uint16      // of the last request; late records of earlier ones are not its answer
	asked   time.Time   // when it was sent
}

// dial connects. The connection is closed when the probe's context ends, even
// under a read.
func (p *prober) dial() (*conn, error) {
	ctx, cancel := context.WithTimeout(p.ctx, dialPatience)
	defer cancel()
	nc, err := p.cfg.Dial(ctx)
	if err != nil {
		return nil, &pool.DialError{Addr: p.cfg.Address, Err: err}
	}
	return &conn{Conn: nc, release: context.AfterFunc(p.ctx, func() { _ = nc.Close() })}, nil
}

// close may be called more than once.
func (c *conn) close() {
	c.release()
	_ = c.Close() // nothing was sent that could be lost
}

// send writes b. It reports nothing: whether the other side closed meanwhile is
// what the next read tells.
func (c *conn) send(b []byte, patience time.Duration) {
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	_, _ = c.Write(b)
}

// record reads one record, which is valid until the next call.
func (c *conn) record(until time.Time) (fcgi.Record, error) {
	for {
		rec, rest, err := fcgi.DecodeRecord(c.in)
		if err == nil {
			c.in = rest
			return rec, nil
		}
		if !errors.Is(err, fcgi.ErrShort) {
			return fcgi.Record{}, &foreignError{c.in}
		}
		if err := c.more(until); err != nil {
			return fcgi.Record{}, err
		}
	}
}

// more reads what there is.
func (c *conn) more(until time.Time) error {
	const chunk = 16 << 10
	if err := c.SetReadDeadline(until); err != nil {
		return err
	}
	c.in = slices.Grow(c.in, chunk)
	n, err := c.Read(c.in[len(c.in) : len(c.in)+chunk])
	c.in = c.in[:len(c.in)+n]
	switch {
	case n > 0:
		return nil
	case len(c.in) > 0 && c.in[0] != fcgi.Version:
		return &foreignError{c.in} // too short for a record
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSilent
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errClosed
	}
	return err
}

// closes reports whether the other side closes within d.
func (c *conn) closes(d time.Duration) bool {
	for until := time.Now().Add(d); ; {
		switch err := c.more(until); {
		case errors.Is(err, errSilent):
			return false
		case err != nil:
			return true
		}
	}
}
