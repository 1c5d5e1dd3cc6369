package framing

import "net/http"

// Error says why a request was refused.
type Error struct {
	Status int    // 400, 431, 501 or 505
	Reason string // for the client and the log
	Line   string // the received part of the request line, cut to maxLogged bytes
}

func (e *Error) Error() string { return e.Reason }

// maxLogged is how many bytes of a request line an Error has.
const maxLogged = 1024

func badRequest(reason string) *Error { return &Error{Status: http.StatusBadRequest, Reason: reason} }
