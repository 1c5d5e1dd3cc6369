package bridge

import "github.com/sluice-proxy/sluice/bridge/cgi"

// content is the body of an answer as it comes out of STDOUT: without a transfer coding,
// up to its end. The header says how that is known.
type content struct {
	bodyless bool  // the client expects no body, whatever comes
	length   int64 // that was announced, -1 if none was
	come     int64 // how much has come
	chunked  bool
	chunks   cgi.Chunked // if chunked
	closed   bool        // the application has ended STDOUT, and nothing is known to be missing
}

func newContent(resp cgi.Response, bodyless bool) content {
	return content{bodyless: bodyless, length: resp.ContentLength, chunked: resp.Chunked}
}

// next returns the content that p begins with, and what of p is to be read after it. Both
// are valid until the next call.
func (c *content) next(p []byte) (data, rest []byte, err error) {
	data = p
	if c.chunked {
		if data, rest, err = c.chunks.Next(p); err != nil {
			return nil, nil, &appError{errProtocol, err}
		}
	}
	c.come += int64(len(data))
	return data, rest, nil
}

// whole reports whether the client can be given the complete answer, whatever the
// application says next, and whenever.
func (c *content) whole() bool { return c.bodyless || c.ended() }

// ended reports whether all of it has come, be there a client that expects it or not.
func (c *content) ended() bool {
	return c.closed || c.length >= 0 && c.come >= c.length || c.chunked && c.chunks.Whole()
}

// end is for END_REQUEST. It fails if a chunk is missing. Whether the length is met is
// looked at where the content is sent.
func (c *content) end() error {
	if !c.chunked || c.bodyless {
		return nil
	}
	if err := c.chunks.End(); err != nil {
		return &appError{errIncomplete, err}
	}
	return nil
}

// close notes the end of STDOUT: an empty record (FastCGI, section 3.3). Where something is
// known to be missing, END_REQUEST is what ends the answer.
func (c *content) close() { c.closed = c.length < 0 && (!c.chunked || c.chunks.End() == nil) }

// noteEnd looks whether a piece of STDOUT is the end of it. An application that goes on
// after such a record means nothing by it.
func (b *Bridge) noteEnd(c *content, p []byte, path, instance string) {
	switch {
	case len(p) == 0 && !b.resumes.Load():
		c.close()
	case len(p) > 0 && c.closed:
		c.closed = false
		b.logResumed(path, instance, false)
	}
}

// logResumed remembers that the application goes on after an empty STDOUT record. cut says
// that the client has lost what came after it.
func (b *Bridge) logResumed(path, instance string, cut bool) {
	if !b.resumes.Swap(true) || cut {
		b.cfg.Logger.Warn("the application goes on after an empty STDOUT record, which ends an answer in FastCGI; from now on only END_REQUEST does",
			"path", path, "instance", instance, "cut", cut)
	}
}

// noteGiven notes in h, which is to be given up, whether c is complete: then what the
// application does is its own affair, unless it says more.
func (x *exchange) noteGiven(h *hold, c *content) {
	b, path, instance, announced := x.b, x.r.URL.Path, x.out.Instance, c.length
	switch h.given = c.whole(); {
	case !h.given, c.bodyless:
	case c.closed:
		h.surplus = func() { b.logResumed(path, instance, true) }
	case announced >= 0:
		h.surplus = func() { b.logSurplus(path, instance, announced) }
	}
}
