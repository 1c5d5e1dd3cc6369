// Package fastcgi is FastCGI as an [upstream.Codec].
//
// What always holds:
//
//   - A request is BEGIN_REQUEST for the responder role, PARAMS and STDIN, all with its id.
//   - The record that came is for the request that is answered, or the connection ends with
//     an error: an application that mixes requests up is never believed.
//   - The answer ends with END_REQUEST alone. The end of the connection cuts it short.
package fastcgi

import (
	"slices"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Codec is the protocol. It is an [upstream.Multiplexer] and an [upstream.Inquirer].
type Codec struct{}

var _ interface {
	upstream.Codec
	upstream.Multiplexer
	upstream.Inquirer
} = Codec{}

// unrun is the size of a BEGIN_REQUEST record.
const unrun = fcgi.HeaderLen + 8

// KeepAlive reports true: FCGI_KEEP_CONN asks for it.
func (Codec) KeepAlive() bool { return true }

// Size is the size of the name-value pairs.
func (Codec) Size(r *upstream.Request) (total int, err error) {
	for _, v := range r.Vars {
		size := fcgi.PairSize(v.Name, v.Value)
		if size > fcgi.MaxPair {
			return 0, &upstream.RequestError{Err: &fcgi.PairTooLargeError{Name: v.Name, Size: size}}
		}
		total += size
	}
	return total, nil
}

// AppendHead appends BEGIN_REQUEST and PARAMS.
func (Codec) AppendHead(dst []byte, id uint16, keep bool, r *upstream.Request) ([]byte, int, error) {
	begin := fcgi.BeginRequest{Role: fcgi.RoleResponder}
	if keep {
		begin.Flags = fcgi.FlagKeepConn
	}
	params := fcgi.NewParamsWriter(fcgi.AppendBeginRequest(dst, id, begin), id)
	for _, v := range r.Vars {
		if err := params.Add(v.Name, v.Value); err != nil {
			return dst, 0, &upstream.RequestError{Err: err}
		}
	}
	return params.End(), unrun, nil
}

// AppendBody appends STDIN records.
func (Codec) AppendBody(dst []byte, id uint16, part []byte, last bool) []byte {
	dst = fcgi.AppendStream(dst, fcgi.TypeStdin, id, part)
	if last {
		dst = fcgi.AppendStreamEnd(dst, fcgi.TypeStdin, id)
	}
	return dst
}

// BodyOverhead is a record header, and the empty record that ends STDIN.
func (Codec) BodyOverhead() (before, after int) { return fcgi.HeaderLen, fcgi.HeaderLen }

// AppendAbort appends an ABORT_REQUEST.
func (Codec) AppendAbort(dst []byte, id uint16) []byte { return fcgi.AppendAbortRequest(dst, id) }

// libfcgiValues are libfcgi's answers, whatever the program: one connection, one request,
// no multiplexing. It is asked for one at a time: it says nothing when asked for several.
var libfcgiValues = [...]fcgi.Value{{Name: fcgi.MpxsConns, Value: "0"}, {Name: fcgi.MaxConns, Value: "1"}, {Name: fcgi.MaxReqs, Value: "1"}}

// Questions is how many values there are to be asked for (FCGI_GET_VALUES).
func (Codec) Questions() int { return len(libfcgiValues) }

// AppendQuestion appends a GET_VALUES for one of them.
func (Codec) AppendQuestion(dst []byte, n int) []byte {
	return fcgi.AppendGetValues(dst, libfcgiValues[n].Name)
}

// Judge looks for what multiplexes, and for libfcgi. What makes no sense says nothing.
func (Codec) Judge(n int, reply []byte) upstream.Answer {
	values, err := fcgi.DecodeGetValuesResult(reply)
	switch {
	case err != nil:
	case slices.Contains(values, fcgi.Value{Name: fcgi.MpxsConns, Value: "1"}):
		return upstream.Multiplexes
	case slices.Contains(values, libfcgiValues[n]):
		return upstream.Fixed
	}
	return upstream.Plain
}

// NewDecoder returns a decoder of the records that an application may send.
func (Codec) NewDecoder() upstream.Decoder { return new(decoder) }
