package upstream

import (
	"net/http"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/http1"
)

// Request is a request without its body, in the form that Codec.TakesHTTP names.
type Request struct {
	// Vars are the meta-variables. CONTENT_LENGTH is the length of the body.
	Vars []cgi.Var
	// HTTP is the request as an HTTP message.
	HTTP http1.Request
	// Authorizer asks the application whether the request is allowed, and not for an answer.
	// Only FastCGI has that role; other protocols do not carry it. In HTTP, the question is a
	// request as any other.
	Authorizer bool
}

// Var returns the name and the value of variable i.
func (r *Request) Var(i int) (name, value string) { return r.Vars[i].Name, r.Vars[i].Value }

// Codec encodes requests in one protocol. It has no state: its methods may be called
// concurrently.
//
// Requests on a connection have ids from 1 to 65535. A protocol without ids ignores them.
type Codec interface {
	// KeepAlive reports whether a connection can carry another request after an answer.
	KeepAlive() bool
	// TakesHTTP reports whether requests are encoded from Request.HTTP. Otherwise they are
	// encoded from Request.Vars.
	TakesHTTP() bool
	// Size returns how many bytes the variables, or the HTTP header, take when they are
	// encoded. Its error is a *RequestError.
	Size(r *Request) (int, error)
	// AppendHead appends the request without its body. Keep asks the application to keep
	// the connection open after its answer. As long as not more than unrunBelow bytes
	// have been sent, the application cannot have run the request. The error is a
	// *RequestError.
	AppendHead(dst []byte, id uint16, keep bool, r *Request) (out []byte, unrunBelow int, err error)
	// Preamble returns how many bytes of a head tell nothing about the request; there may be
	// none. An application that closes the connection when it has received no more has no room:
	// it cannot mean the request.
	Preamble() int
	// AppendBody appends a part of the body and, after the last part, the end of the body.
	// The part may lie in the capacity of dst, at the offset that BodyOverhead returns;
	// then it is encoded in place.
	AppendBody(dst []byte, id uint16, part []byte, last bool) []byte
	// BodyOverhead returns how many bytes AppendBody adds before a part of at most 64,000
	// bytes, and the most that it adds after one.
	BodyOverhead() (before, after int)
	// ParseHeader parses the header of an answer, up to and including its empty line, and
	// adds its fields to h.
	ParseHeader(block []byte, h http.Header) (cgi.Response, error)
	// NewDecoder returns a decoder for one connection.
	NewDecoder() Decoder
}

// Decoder decodes what the application sends on one connection.
type Decoder interface {
	// Begin announces that r is sent next, with an id. From then on, what belongs to another
	// request is an error. Before the first Begin, all requests are decoded.
	Begin(id uint16, r *Request)
	// Next decodes the event at the beginning of in, and returns the bytes after it. If in
	// does not hold a whole event, the event's Kind is 0, and fewer than 64 bytes are
	// returned: call Next again with these and the bytes that arrive after them. After an
	// error, a *FormatError, the connection cannot be used any more.
	Next(in []byte) (ev Event, rest []byte, err error)
	// EOF is called when the application has closed the connection, and Next has returned
	// all events. It returns an End if this completes the answer. Else the answer is
	// truncated, or has not begun, and the event's Kind is 0.
	EOF() Event
	// Clean reports whether no event is incomplete.
	Clean() bool
}

// Expecter is a Decoder that knows how much belongs to the event at hand. Reads of large events end
// with them then.
type Expecter interface {
	// Expects returns how many bytes there are up to the data of the event after the one at hand; 0: it is not
	// known, or there is no event at hand.
	Expects() int
}

// Multiplexer is a Codec whose connections can carry several requests at the same time.
type Multiplexer interface {
	// AppendAbort appends a message that asks the application to stop a request.
	AppendAbort(dst []byte, id uint16) []byte
}

// Querier is a Codec that has queries: the application can be asked about itself while it
// has no request. It answers with a Reply event, or not at all.
type Querier interface {
	// Queries returns how many queries there are, at least 1. The reply to the first says
	// whether the application multiplexes.
	Queries() int
	// AppendQuery appends query n, counted from 0.
	AppendQuery(dst []byte, n int) []byte
	// ParseReply returns the meaning of a Reply's data after query n.
	ParseReply(n int, data []byte) QueryResult
}

// QueryResult is the meaning of a reply to a query.
type QueryResult uint8

const (
	// OtherResult: none of the below.
	OtherResult QueryResult = iota
	// Multiplexing: the application serves several requests on a connection at the same
	// time.
	Multiplexing
	// LibraryDefaults: the reply holds the fixed values of a library. If all replies do,
	// the application may serve one connection until that is closed, and no other.
	LibraryDefaults
)
