package upstream

import (
	"errors"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// Request is what a Codec writes down of a request. Its body comes after it.
type Request struct {
	// Vars are the meta-variables; CONTENT_LENGTH among them says how long the body is.
	Vars []cgi.Var
}

// Codec is a protocol. It has no state of its own: its methods may be called at the same
// time.
//
// A request is known by an id on its connection, from 1 to 65535. Protocols that carry
// one request at a time may ignore it.
type Codec interface {
	// KeepAlive reports whether a connection can carry another request after an answer.
	KeepAlive() bool
	// Size is how many bytes the request's variables take. Its error, a *RequestError,
	// says that they cannot be sent at all.
	Size(r *Request) (int, error)
	// AppendHead appends all of a request but its body. Keep asks the application to keep
	// the connection open after its answer. An application that was sent no more than the
	// first unrun bytes cannot have run the request. An error is a *RequestError.
	AppendHead(dst []byte, id uint16, keep bool, r *Request) (out []byte, unrun int, err error)
	// AppendBody appends a part of the body, and the end of it after the last part. The
	// part may lie in dst's capacity, where it is to be written (BodyOverhead).
	AppendBody(dst []byte, id uint16, part []byte, last bool) []byte
	// BodyOverhead is how many bytes AppendBody writes before a part of at most 64,000
	// bytes, and how many at most after it.
	BodyOverhead() (before, after int)
	// NewDecoder returns a Decoder for one connection.
	NewDecoder() Decoder
}

// Decoder cuts what comes on a connection into events.
type Decoder interface {
	// Begin says that request id is sent next, and that events are about that one only.
	// Before the first Begin they may be about any.
	Begin(id uint16)
	// Next returns the event that in begins with, and what of in comes after it. If not
	// enough has come, the event's Kind is 0, and the rest less than 64 bytes: it is to be
	// passed again, with more. An error, a *FormatError, is the end of the connection.
	Next(in []byte) (ev Event, rest []byte, err error)
	// EOF is called when the application has closed the connection in order, and all that
	// came was taken. It returns the event that this is: End, or none if the answer is cut
	// short, or has not begun.
	EOF() Event
	// Clean reports whether nothing is begun and not at its end. After a request that was
	// answered the connection can carry another one then.
	Clean() bool
}

// Multiplexer is a Codec whose connections may carry several requests at the same time.
// Its Decoders that have not been told to Begin return all events of all requests.
type Multiplexer interface {
	// AppendAbort appends what asks the application to stop working on a request.
	AppendAbort(dst []byte, id uint16) []byte
}

// Inquirer is a Codec in whose protocol the application can be asked about itself while it
// works on no request. It answers each question with a Reply event, if at all.
type Inquirer interface {
	// AppendQuestion appends question n. There is no error that could come of the answer
	// but that it does not come.
	AppendQuestion(dst []byte, n int) []byte
	// Questions is how many questions there are, at least 1. An answer to the first says
	// whether the application multiplexes.
	Questions() int
	// Judge says what the data of a Reply to question n means.
	Judge(n int, reply []byte) Answer
}

// Answer is what an answer to a question says.
type Answer uint8

const (
	// Plain: nothing else applies.
	Plain Answer = iota
	// Multiplexes: the application serves several requests on a connection at once.
	Multiplexes
	// Fixed: the answer is that of a library which does not know its program. If it is so
	// to all questions, the program may serve one connection at a time until that ends.
	Fixed
)

// Kind says what an event is.
type Kind uint8

const (
	// Output is a part of the answer: its header, and then its body.
	Output Kind = iota + 1
	// Log is a part of what the application says beside its answer.
	Log
	// End is the end of the answer.
	End
	// Reply is an answer to a question (Inquirer). It belongs to no request.
	Reply
)

func (k Kind) String() string {
	return [...]string{"nothing", "output", "log", "end", "reply"}[k]
}

// Event is what an application says next.
type Event struct {
	Kind Kind
	// ID is the request's that it is about.
	ID uint16
	// Data is Output, Log, or a Reply. It is a part of what was decoded, and valid until
	// that is overwritten. Output is empty only where the application says that there is
	// no more of it.
	Data []byte
	// Err says, with End, why the application has not run the request, or that its end
	// makes no sense. nil: the answer is complete.
	Err error
}

// Why an application has ended a request that it has not run.
var (
	ErrOverloaded    = errors.New("the application is overloaded")
	ErrCantMultiplex = errors.New("the application refuses a second request on the connection")
	ErrUnknownRole   = errors.New("the application does not serve the responder role")
)

// RequestError says that a request cannot be sent in a protocol.
type RequestError struct{ Err error }

func (e *RequestError) Error() string { return e.Err.Error() }
func (e *RequestError) Unwrap() error { return e.Err }

// FormatError says that what came on a connection is not allowed in its protocol.
type FormatError struct{ Err error }

func (e *FormatError) Error() string { return e.Err.Error() }
func (e *FormatError) Unwrap() error { return e.Err }
