package http1

import (
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/http1"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Codec is an [upstream.Codec]. It is neither an [upstream.Multiplexer] nor an
// [upstream.Querier].
type Codec struct{}

var _ upstream.Codec = Codec{}

// unreadEnd is how much of a header may be missing while the application provably has not
// run the request: a header has ended with the LF of its empty line.
const unreadEnd = 1

// KeepAlive returns true.
func (Codec) KeepAlive() bool { return true }

// TakesHTTP returns true.
func (Codec) TakesHTTP() bool { return true }

// Size returns the size of the header, at most.
func (Codec) Size(r *upstream.Request) (int, error) {
	n, err := r.HTTP.Size()
	if err != nil {
		return 0, &upstream.RequestError{Err: err}
	}
	return n, nil
}

// AppendHead appends the header.
func (Codec) AppendHead(dst []byte, _ uint16, keep bool, r *upstream.Request) ([]byte, int, error) {
	begin := len(dst)
	dst, err := r.HTTP.Append(dst, keep)
	if err != nil {
		return dst, 0, &upstream.RequestError{Err: err}
	}
	return dst, len(dst) - begin - unreadEnd, nil
}

// Preamble returns 1, which is a letter of the method.
func (Codec) Preamble() int { return 1 }

// AppendBody appends the part as it is: the header announces the length of the body. After an
// upgrade, what the client sends is such a part.
func (Codec) AppendBody(dst []byte, _ uint16, part []byte, _ bool) []byte {
	return append(dst, part...)
}

// BodyOverhead returns 0, 0.
func (Codec) BodyOverhead() (before, after int) { return 0, 0 }

// ParseHeader parses the header of an HTTP answer.
func (Codec) ParseHeader(block []byte, h http.Header) (cgi.Response, error) {
	return cgi.ParseHTTPResponse(block, h)
}

// NewDecoder returns a decoder of HTTP answers.
func (Codec) NewDecoder() upstream.Decoder { return new(decoder) }

// decoder makes events of what http1.Decoder finds.
type decoder struct {
	http1.Decoder
	id uint16
}

func (d *decoder) Begin(id uint16, r *upstream.Request) {
	d.id = id
	d.Decoder.Begin(&r.HTTP)
}

func (d *decoder) Next(in []byte) (ev upstream.Event, rest []byte, err error) {
	output, rest, ended, err := d.Decoder.Next(in)
	switch {
	case err != nil:
		return ev, rest, &upstream.FormatError{Err: err}
	case ended:
		return d.end(), rest, nil
	case len(output) > 0:
		return upstream.Event{Kind: upstream.Output, ID: d.id, Data: output}, rest, nil
	}
	return ev, rest, nil
}

func (d *decoder) EOF() (ev upstream.Event) {
	if d.Decoder.EOF() {
		return d.end()
	}
	return ev
}

func (d *decoder) Clean() bool { return d.Idle() }

// closeBefore is how long before the application closes an unused connection that is not used
// any more: a request needs time to get there.
const closeBefore = time.Second

// end is the end of an answer. An application that keeps unused connections for no longer than
// closeBefore does not keep them.
func (d *decoder) end() upstream.Event {
	end := d.End()
	ev := upstream.Event{Kind: upstream.End, ID: d.id, Close: end.Close}
	if end.KeepFor > 0 {
		ev.KeepFor = end.KeepFor - closeBefore
		ev.Close = ev.Close || ev.KeepFor <= 0
	}
	return ev
}
