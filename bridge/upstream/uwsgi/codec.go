package uwsgi

import (
	"github.com/sluice-proxy/sluice/bridge/upstream"
	"github.com/sluice-proxy/sluice/bridge/uwsgi"
)

// Codec is an [upstream.Codec]. It is neither an [upstream.Multiplexer] nor an
// [upstream.Querier].
type Codec struct{ upstream.OneRequest }

var _ upstream.Codec = Codec{}

// unreadEnd is how much of a header may be missing while the server provably has not run the
// request: it knows how long the variables are, and has not got their last byte.
const unreadEnd = 1

// Size returns the size of the variables.
func (Codec) Size(r *upstream.Request) (int, error) {
	n, err := uwsgi.Size(len(r.Vars), r.Var)
	if err != nil {
		return 0, &upstream.RequestError{Err: err}
	}
	return n, nil
}

// AppendHead appends the variables.
func (Codec) AppendHead(dst []byte, _ uint16, _ bool, r *upstream.Request) ([]byte, int, error) {
	begin := len(dst)
	dst, err := uwsgi.AppendHeader(dst, len(r.Vars), r.Var)
	if err != nil {
		return dst, 0, &upstream.RequestError{Err: err}
	}
	return dst, len(dst) - begin - unreadEnd, nil
}

// Preamble returns 1, which is modifier1: uWSGI closes the connection when it has read a size
// that exceeds its buffer.
func (Codec) Preamble() int { return 1 }
