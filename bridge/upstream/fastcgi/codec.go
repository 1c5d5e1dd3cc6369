package fastcgi

import (
	"slices"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// Codec is an [upstream.Codec], an [upstream.Multiplexer] and an [upstream.Querier].
type Codec struct{ upstream.CGI }

var _ interface {
	upstream.Codec
	upstream.Multiplexer
	upstream.Querier
} = Codec{}

// beginRequestLen is the size of a BEGIN_REQUEST record. An application that has received no
// more than that has not run the request.
const beginRequestLen = fcgi.HeaderLen + 8

// KeepAlive returns true: FastCGI has FCGI_KEEP_CONN.
func (Codec) KeepAlive() bool { return true }

// Size returns the size of the name-value pairs.
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
	if r.Authorizer {
		begin.Role = fcgi.RoleAuthorizer
	}
	if keep {
		begin.Flags = fcgi.FlagKeepConn
	}
	params := fcgi.NewParamsWriter(fcgi.AppendBeginRequest(dst, id, begin), id)
	for _, v := range r.Vars {
		if err := params.Add(v.Name, v.Value); err != nil {
			return dst, 0, &upstream.RequestError{Err: err}
		}
	}
	return params.End(), beginRequestLen, nil
}

// Preamble returns the size of BEGIN_REQUEST.
func (Codec) Preamble() int { return beginRequestLen }

// AppendBody appends STDIN records.
func (Codec) AppendBody(dst []byte, id uint16, part []byte, last bool) []byte {
	dst = fcgi.AppendStream(dst, fcgi.TypeStdin, id, part)
	if last {
		dst = fcgi.AppendStreamEnd(dst, fcgi.TypeStdin, id)
	}
	return dst
}

// BodyOverhead returns the size of a record header, and of the record that ends STDIN.
func (Codec) BodyOverhead() (before, after int) { return fcgi.HeaderLen, fcgi.HeaderLen }

// AppendAbort appends an ABORT_REQUEST record.
func (Codec) AppendAbort(dst []byte, id uint16) []byte { return fcgi.AppendAbortRequest(dst, id) }

// libfcgiValues are the replies of libfcgi, for every program: one connection, one request, no
// multiplexing. It does not reply to a query for several values.
var libfcgiValues = [...]fcgi.Value{{Name: fcgi.MpxsConns, Value: "0"}, {Name: fcgi.MaxConns, Value: "1"}, {Name: fcgi.MaxReqs, Value: "1"}}

// Queries returns the number of values that can be asked for (section 4.1).
func (Codec) Queries() int { return len(libfcgiValues) }

// AppendQuery appends a GET_VALUES record for one of them.
func (Codec) AppendQuery(dst []byte, n int) []byte {
	return fcgi.AppendGetValues(dst, libfcgiValues[n].Name)
}

// ParseReply returns upstream.OtherResult for data that it cannot decode.
func (Codec) ParseReply(n int, data []byte) upstream.QueryResult {
	values, err := fcgi.DecodeGetValuesResult(data)
	switch {
	case err != nil:
	case slices.Contains(values, fcgi.Value{Name: fcgi.MpxsConns, Value: "1"}):
		return upstream.Multiplexing
	case slices.Contains(values, libfcgiValues[n]):
		return upstream.LibraryDefaults
	}
	return upstream.OtherResult
}

// NewDecoder returns a decoder of the records that an application may send.
func (Codec) NewDecoder() upstream.Decoder { return new(decoder) }
