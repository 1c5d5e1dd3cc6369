package blocking

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
)

const (
	// relayBuffer is how much goes from the spool to the client at a time, in bytes, if there
	// is memory for it.
	relayBuffer = 64 << 10
	// heldBack is what net/http keeps of a body until the handler has returned, in bytes:
	// writing less never waits for the client.
	heldBack = 2 << 10
	// sharedPatience is how long the rest of an answer on a shared connection may find no room
	// in the spool. Then it is given up: it must not hold up others.
	sharedPatience = 100 * time.Millisecond
)

// reply sends the client an answer that is here whole.
func (c *call) reply() error {
	a, h, status := &c.x.Reply, c.w.Header(), c.x.Reply.Status
	c.endConnection(h)
	if answer := c.Site.ErrorHandler; answer != nil && a.Err != nil && answer(c.w, c.R, status, a.Err) {
		c.handedOver = true
		return nil
	}
	a.SetFields(h)
	c.w.WriteHeader(status)
	switch {
	case len(a.Body) == 0:
		return nil
	case len(a.Body) <= heldBack:
		return c.write(a.Body)
	}
	to := c.clientWriter()
	to.extend()
	err := c.write(a.Body)
	to.done(err)
	return err
}

// relay sends the client an answer while it arrives. When the client has been sent all there is,
// it is flushed to the network: a record the application flushed reaches the client.
func (c *call) relay() (err error) {
	to := c.clientWriter()
	to.extend()
	defer func() { to.done(err) }()
	c.endConnection(c.w.Header())
	c.w.WriteHeader(c.x.Reply.Status)
	s := &sent{c: c, to: to, n: c.relayed, limit: c.x.Limit()}
	left, over, err := c.relayDirect(to, s)
	if !over {
		err = c.relayThrough(to, s, left)
	}
	if err != nil {
		return err
	}
	return s.end()
}

// relayThrough relays an answer from its beginning, or from the pieces left on. What the client is
// too slow for waits in a spool.Pipe, so the application is read at its own pace, and the worker is
// free when it has finished.
func (c *call) relayThrough(to *clientWriter, s *sent, left [][]byte) error {
	owner := spool.Owner{Client: spool.ClientOf(c.x.Who.Addr), Cutter: to}
	pipe := c.newPipe(owner)
	ctx, leave := context.WithCancel(c.R.Context())
	rv := &receiver{site: c.Site, rest: c.x.Rest, beside: c.beside.take(), pipe: pipe, left: left, ctx: c.R.Context(), done: make(chan struct{})}
	rv.rest.Begin(pipe)
	rv.beside.watch(ctx)
	go rv.run()
	defer func() {
		leave()
		pipe.Close()
		<-rv.done
	}()
	err := c.copy(s, pipe)
	if err != nil && to.cut.Load() {
		err = spool.ErrCut // and not that writing took too long
	}
	return err
}

// newPipe returns what holds the part of an answer that the client is too slow for.
func (c *call) newPipe(owner spool.Owner) *spool.Pipe {
	store := c.Site.Application.Spool()
	if c.beside.lease.Shared() {
		return store.NewImpatientPipe(owner, sharedPatience)
	}
	return store.NewPipe(owner)
}

// sent is what the client has been sent of an answer that is relayed, up to the length that was
// announced.
type sent struct {
	c     *call
	to    *clientWriter
	n     int64
	limit int64 // -1: no length was announced
}

// send sends the client p. What is too much is dropped.
func (s *sent) send(p []byte) error {
	if s.limit >= 0 && int64(len(p)) > s.limit-s.n {
		s.c.x.Exceeded()
		p = p[:s.limit-s.n]
	}
	s.n += int64(len(p))
	if len(p) == 0 {
		return nil
	}
	return s.write(s.c.x.Encode(p))
}

func (s *sent) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	s.to.extend()
	return s.c.write(p)
}

// flush sends the client all there is.
func (s *sent) flush() error {
	if err := s.write(s.c.x.EncodeFlush()); err != nil {
		return err
	}
	return s.to.flush()
}

// end ends a content that is complete. It may be called twice.
func (s *sent) end() error { return s.write(s.c.x.EncodeEnd()) }

// all reports whether the client has all there is for it, whenever the application ends.
func (s *sent) all() bool { return s.n == s.limit }

// copy copies the beginning of the content, unless it was sent, and what comes through pipe to the
// client.
func (c *call) copy(s *sent, pipe *spool.Pipe) error {
	buf := pipe.Scratch()
	defer buf.Free()
	if err := s.send(c.x.First); err != nil {
		return err
	}
	c.x.FirstSent()
	for {
		if pipe.Len() == 0 {
			if err := s.flush(); err != nil {
				return err
			}
		}
		if s.all() {
			return nil
		}
		n, err := pipe.Read(buf.Bytes())
		if err := s.send(buf.Bytes()[:n]); err != nil {
			return err
		}
		if n == len(buf.Bytes()) {
			buf.Grow(relayBuffer)
		}
		switch {
		case err == io.EOF:
			return c.x.Ended(s.n)
		case err != nil:
			return err
		}
	}
}

func (c *call) write(p []byte) error {
	n, err := c.w.Write(p)
	c.x.Out.BytesOut += int64(n)
	if err != nil {
		return clientError(err)
	}
	return nil
}

// receiver reads the application's answer into a pipe, in a goroutine of its own.
type receiver struct {
	site   *Site
	rest   *exchange.Rest
	beside beside
	pipe   *spool.Pipe
	left   [][]byte        // what comes before the next event
	ctx    context.Context // of the request
	done   chan struct{}
}

func (rv *receiver) run() {
	defer close(rv.done)
	over, err := rv.passLeft()
	for !over {
		ev, e := rv.beside.lease.Next(rv.rest.Until())
		over, err = rv.rest.Happened(ev, e)
	}
	if errors.Is(err, pool.ErrInterrupted) {
		err = rv.beside.interruption(rv.ctx)
	}
	rv.beside.quiesce()
	if h := rv.rest.Over(err); h != nil {
		rv.site.await(rv.site.Abandon(h), rv.beside)
	}
}

// passLeft passes on what the last event has left.
func (rv *receiver) passLeft() (over bool, err error) {
	for _, p := range rv.left {
		if _, err := rv.pipe.Write(p); err != nil {
			return true, err
		}
	}
	return false, nil
}
