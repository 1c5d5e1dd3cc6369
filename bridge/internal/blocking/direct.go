package blocking

import (
	"errors"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/internal/sendroom"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// direct relays an answer in the goroutine of ServeHTTP for as long as the client's socket takes
// every piece at once: then nothing has to be stored, and no second goroutine be woken for each
// piece. It is the Output of the exchange's Rest.
type direct struct {
	c      *call
	to     *clientWriter
	socket sendroom.Room
	sent   *sent
	ended  bool     // the content has ended
	failed error    // why the client could not be sent something
	left   [][]byte // of the last event, what the socket had no room for
}

// relayDirect begins to relay, and reports whether that is over. If not, the client's socket had
// no room, and the rest is for relayThrough: first the pieces left, which are the lease's memory
// until its next event, and then what comes.
func (c *call) relayDirect(to *clientWriter, s *sent) (left [][]byte, over bool, err error) {
	d := &direct{c: c, to: to, socket: c.socket(), sent: s}
	if d.socket == nil || !d.socket.Takes(len(c.x.First)) {
		return nil, false, nil
	}
	c.x.Rest.Begin(d)
	if err := s.send(c.x.First); err != nil {
		return nil, true, d.end(pool.ErrInterrupted, err)
	}
	c.x.FirstSent()
	for {
		if err := d.flush(); err != nil {
			return nil, true, d.end(pool.ErrInterrupted, err)
		}
		if s.all() {
			err := s.end()
			return nil, true, d.end(d.awaitEnd(), err)
		}
		last, err := c.x.Rest.Happened(d.next(c.x.Rest.Until()))
		switch {
		case d.failed != nil:
			return nil, true, d.end(pool.ErrInterrupted, d.failed)
		case last:
			return nil, true, d.over(err)
		case d.ended: // and the application has not ended the request
			return nil, true, d.end(pool.ErrInterrupted, c.x.Ended(s.n))
		case len(d.left) > 0:
			return d.left, false, nil
		}
	}
}

// socket returns the client's socket, nil if it is not known, or the answer is not what is
// written to it.
func (c *call) socket() sendroom.Room {
	if c.Site.ClientConn == nil || c.R.ProtoMajor != 1 {
		return nil
	}
	conn := c.Site.ClientConn(c.w, c.original)
	if conn == nil {
		return nil
	}
	return sendroom.Of(conn)
}

// Write implements exchange.Output.
func (d *direct) Write(p []byte) (int, error) {
	if len(d.left) > 0 || !d.socket.Takes(len(p)) {
		d.left = append(d.left, p)
		return len(p), nil
	}
	if err := d.sent.send(p); err != nil {
		d.failed = err
		return 0, err
	}
	return len(p), nil
}

// CloseWrite implements exchange.Output.
func (d *direct) CloseWrite(error) { d.ended = true }

// flush sends the client all there is, unless there is more already: a record the application
// flushed reaches the client.
func (d *direct) flush() error {
	if d.c.beside.lease.Buffered() {
		return nil
	}
	return d.sent.flush()
}

// next waits for the next event until a time. The client is not watched at first: most events come
// sooner than it would be worth while.
func (d *direct) next(until time.Time) (upstream.Event, error) {
	b := &d.c.beside
	if b.unwatch == nil {
		early := time.Now().Add(exchange.WatchAfter)
		if !early.Before(until) {
			return b.lease.Next(until)
		}
		if ev, err := b.lease.Next(early); !errors.Is(err, os.ErrDeadlineExceeded) {
			return ev, err
		}
		b.watch(d.c.R.Context())
	}
	return b.lease.Next(until)
}

// awaitEnd waits for the end of a request whose content the client has been sent whole. It comes
// with the content, or is not waited for.
func (d *direct) awaitEnd() error {
	rest, lease := d.c.x.Rest, d.c.beside.lease
	until := time.Now().Add(d.c.x.Gathers())
	for {
		ev, err := lease.Next(until)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return pool.ErrInterrupted
		}
		if last, err := rest.Happened(ev, err); last {
			return err
		}
	}
}

// over ends the relaying after the last event.
func (d *direct) over(err error) error {
	if errors.Is(err, pool.ErrInterrupted) {
		err = d.c.beside.interruption(d.c.R.Context())
	}
	if err == nil {
		return d.end(nil, d.c.x.Ended(d.sent.n))
	}
	_ = d.sent.flush() // what has come before the failure is the client's; the failure is what matters
	return d.end(err, err)
}

// end gives back what is held of the application, which has ended with err, and returns result.
func (d *direct) end(err, result error) error {
	b := &d.c.beside
	b.quiesce()
	if h := d.c.x.Rest.Over(err); h != nil {
		d.c.Site.await(d.c.Site.Abandon(h), b.take())
	}
	return result
}

var _ exchange.Output = (*direct)(nil)
