package blocking

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/spool"
)

// body is a request's body: spooled, streamed or none.
type body struct {
	length int64         // bytes; known in every case
	buffer *spool.Buffer // the whole of it, if it was spooled
	stream *clientReader // where it comes from, if it is streamed
}

// takeBody spools the body, unless there is none or it is to be streamed.
func (c *call) takeBody() error {
	r, cfg := c.original, c.Site.Config
	if r.ContentLength > cfg.MaxBody {
		return spool.ErrTooLarge
	}
	c.source = &clientReader{
		body: r.Body, rc: http.NewResponseController(c.w), length: r.ContentLength,
		timeout: time.Duration(cfg.Timeouts.Client), limit: c.readLimit(),
	}
	if cfg.RequestBuffering == config.Off && r.ContentLength > 0 {
		c.source.lapses = r.ProtoMajor == 2
		c.body = body{length: r.ContentLength, stream: c.source}
		return c.source.fullDuplex()
	}
	owner := spool.Owner{Client: spool.ClientOf(c.x.Who.Addr), Cutter: c.source}
	c.body.buffer = c.Site.Application.Spool().NewBuffer(owner, cfg.MaxBody)
	n, err := c.body.buffer.ReadFrom(c.source)
	c.body.length = n
	if c.source.err != nil {
		return clientError(c.source.err)
	}
	return err
}

// inlineMax is the largest body that goes out in one write with the head. The answer is read
// after that write, so it must fit into the socket's buffers even if the application reads
// nothing of it.
const inlineMax = 32 << 10

// inline returns the body if it is small and in memory, so that it can go out with the
// request's head.
func (b *body) inline() ([]byte, bool) {
	if b.length == 0 {
		return nil, true
	}
	if b.buffer == nil || b.length > inlineMax {
		return nil, false
	}
	return b.buffer.Bytes()
}

func (b *body) close() {
	if b.buffer != nil {
		b.buffer.Close()
	}
}

// reader returns the body from its beginning.
func (b *body) reader() io.Reader {
	if b.stream != nil {
		return b.stream
	}
	return b.buffer.NewReader()
}

// errCut is what a clientReader returns after interrupt.
var errCut = errors.New("nobody wants the rest of the body")

// clientReader reads the client's body and gives up on a client that sends
// nothing for too long.
type clientReader struct {
	body    io.Reader
	rc      *http.ResponseController
	timeout time.Duration
	limit   time.Time // no deadline is later; zero: there is no limit
	length  int64     // what the client announced, -1 if nothing
	lapses  bool      // a deadline that passes between two Reads ends the body, too: of what is streamed in HTTP/2
	n       int64     // what was read
	err     error     // the client's first error, but io.EOF
	state   atomic.Uint32
}

// The states of a clientReader. The first of the two ends is final, whatever happens at
// the same time.
const (
	bodyOpen  = iota
	bodyWhole // it was read to its end: the connection is net/http's again
	bodyCut   // interrupt has ended the reading: the connection must end, too
)

func (c *clientReader) isWhole() bool { return c.state.Load() == bodyWhole }
func (c *clientReader) isCut() bool   { return c.state.Load() == bodyCut }

func (c *clientReader) Read(p []byte) (int, error) {
	deadline := earlier(time.Now().Add(c.timeout), c.limit)
	if err := c.rc.SetReadDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		c.err = err
		return 0, err
	}
	// interrupt sets the state first and the deadline second, so one of the two is
	// seen here whatever the order.
	if c.isCut() {
		c.interrupt() // the deadline above may have undone it
		return 0, errCut
	}
	n, err := c.body.Read(p)
	c.n += int64(n)
	// A client that was too slow was so even if somebody has interrupted the Read since:
	// net/http ends the request's context before it returns the error.
	if err != nil && err != io.EOF && (!c.isCut() || !time.Now().Before(deadline)) {
		c.err = err
	}
	if c.n == c.length || err == io.EOF {
		c.done()
	} else if c.lapses && err == nil {
		_ = c.rc.SetReadDeadline(c.limit) // until the next Read it is the application that is waited for
	}
	return n, err
}

// done lifts the deadline of a body that was read to its end: net/http reads on in the
// background to notice a client that leaves, and would take a deadline that passes for
// one. So does net/http at this point, whatever its ReadTimeout is.
func (c *clientReader) done() {
	if c.state.CompareAndSwap(bodyOpen, bodyWhole) {
		_ = c.rc.SetReadDeadline(time.Time{}) // unsupported, or the connection is gone: then the next read says so
	}
}

// fullDuplex lets the answer begin before the body ends. HTTP/2 does so anyway.
func (c *clientReader) fullDuplex() error {
	if err := c.rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// interrupt ends a Read under way and all later ones. After the end of the body it does
// nothing: a deadline would end the reading of net/http, which takes that for a client that
// has left, and cancels every later request of the connection.
func (c *clientReader) interrupt() {
	if !c.state.CompareAndSwap(bodyOpen, bodyCut) && !c.isCut() {
		return
	}
	_ = c.rc.SetReadDeadline(time.Unix(1, 0)) // unsupported: then a Read under way lasts as long as the client likes
}

// Cut implements spool.Cutter: what was spooled of the body had to make room.
func (c *clientReader) Cut() { c.interrupt() }

// Pressing implements spool.Cutter. A request that is not there yet holds no worker.
func (c *clientReader) Pressing() bool { return false }

func (c *clientReader) untouched() bool { return c.n == 0 && c.err == nil && !c.isCut() }
