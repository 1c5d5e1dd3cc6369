package content

import (
	"net/http"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// Content is the body of one answer as it comes from the application, up to its end.
type Content struct {
	Bodyless bool  // the client expects no body, whatever comes
	Length   int64 // that was announced, in bytes; -1: none was
	Closed   bool  // the application has ended its output, and nothing is known to be missing

	received int64 // bytes, without the transfer coding
	chunked  bool
	chunks   cgi.Chunked // if chunked
}

// Of returns the content that follows a header.
func Of(resp cgi.Response, bodyless bool) Content {
	return Content{Bodyless: bodyless, Length: resp.ContentLength, chunked: resp.Chunked}
}

// Next returns the content that p begins with, and what of p is to be read after it. Both
// are valid until the next call. The error is a violation of the chunked coding.
func (c *Content) Next(p []byte) (data, rest []byte, err error) {
	data = p
	if c.chunked {
		if data, rest, err = c.chunks.Next(p); err != nil {
			return nil, nil, err
		}
	}
	c.received += int64(len(data))
	return data, rest, nil
}

// Whole reports whether the client can be given the complete answer, whatever the
// application says next, and whenever.
func (c *Content) Whole() bool { return c.Bodyless || c.Ended() }

// Ended reports whether all of the content has come, even if the client expects none.
func (c *Content) Ended() bool {
	return c.Closed || c.Length >= 0 && c.received >= c.Length || c.chunked && c.chunks.Whole()
}

// End is called when the application has ended the request. The error says that chunks are
// missing. Whether a length is met is checked where the content is sent.
func (c *Content) End() error {
	if !c.chunked || c.Bodyless {
		return nil
	}
	return c.chunks.End()
}

// CloseOutput is called when the application has ended its output: with an empty STDOUT record
// in FastCGI (section 3.3). Where something is known to be missing, the end of the request is
// what ends the answer.
func (c *Content) CloseOutput() {
	c.Closed = c.Length < 0 && (!c.chunked || c.chunks.End() == nil)
}

// None reports whether answers with a status have no content (RFC 9110, section 6.4.1, and
// 15.3.6 for 205).
func None(status int) bool {
	return status == http.StatusNoContent || status == http.StatusResetContent || status == http.StatusNotModified
}
