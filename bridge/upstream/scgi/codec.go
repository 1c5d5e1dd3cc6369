package scgi

import (
	"github.com/sluice-proxy/sluice/bridge/scgi"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Codec is an [upstream.Codec]. It is neither an [upstream.Multiplexer] nor an
// [upstream.Querier].
type Codec struct{ upstream.OneRequest }

var _ upstream.Codec = Codec{}

// unreadEnd is how much of a header may be missing while the server provably has not run the
// request: it knows how long the variables are, and has not got their last byte. The comma
// does not count, for there are servers that do not wait for it.
const unreadEnd = len("\x00,")

// Size returns the size of the variables.
func (Codec) Size(r *upstream.Request) (int, error) {
	n, err := scgi.Size(len(r.Vars), r.Var)
	if err != nil {
		return 0, &upstream.RequestError{Err: err}
	}
	return n, nil
}

// AppendHead appends the variables.
func (Codec) AppendHead(dst []byte, _ uint16, _ bool, r *upstream.Request) ([]byte, int, error) {
	begin := len(dst)
	dst, err := scgi.AppendHeader(dst, len(r.Vars), r.Var)
	if err != nil {
		return dst, 0, &upstream.RequestError{Err: err}
	}
	return dst, len(dst) - begin - unreadEnd, nil
}

// Preamble returns 1, which is one digit: uWSGI closes the connection when it has read a size
// that exceeds its buffer.
func (Codec) Preamble() int { return 1 }
