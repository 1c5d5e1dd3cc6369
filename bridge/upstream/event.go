package upstream

import (
	"errors"
	"time"
)

// Kind is the kind of an event.
type Kind uint8

const (
	// Output is a part of the answer: of its header, then of its body.
	Output Kind = iota + 1
	// Log is a part of what the application writes to its log.
	Log
	// End is the end of the answer.
	End
	// Reply is the reply to a query. It belongs to no request.
	Reply
)

func (k Kind) String() string {
	return [...]string{"nothing", "output", "log", "end", "reply"}[k]
}

// Event is what the application sends next.
type Event struct {
	Kind Kind
	ID   uint16 // of the request; 0 in a Reply
	// Close is set in an End if the connection cannot carry another request.
	Close bool
	// KeepFor is set in an End if the application has said how long it keeps an unused
	// connection: how long a request may still be sent on it.
	KeepFor time.Duration
	// Data is output, log text, or the content of a reply. It aliases the decoder's input
	// and is valid until that is overwritten. Output without data announces that no more
	// output follows; not every protocol has that.
	Data []byte
	// Err is set in an End if the application has not run the request, or if the protocol
	// does not allow the end (a *FormatError). nil: the answer is complete.
	Err error
}

// The reasons why an application has not run a request.
var (
	ErrOverloaded    = errors.New("the application is overloaded")
	ErrCantMultiplex = errors.New("the application refuses a second request on the connection")
	ErrUnknownRole   = errors.New("the application does not serve the role that it was asked in")
)

// RequestError reports a request that cannot be encoded in a protocol. The client is
// answered 431: mostly its variables are too large.
type RequestError struct{ Err error }

func (e *RequestError) Error() string { return e.Err.Error() }
func (e *RequestError) Unwrap() error { return e.Err }

// FormatError reports bytes that the protocol does not allow.
type FormatError struct{ Err error }

func (e *FormatError) Error() string { return e.Err.Error() }
func (e *FormatError) Unwrap() error { return e.Err }
