package framing

import "net/http"

// Error says why a request was refused.
type Error struct {
	Status int    // 400, 431, 501 or 505
	Reason string // for the client and the log
	Line   string // the request line, as far as it came, cut to maxLogged bytes
}

func (e *Error) Error() string { return e.Reason }

// maxLogged is how much of a request line an Error has, in bytes.
const maxLogged = 1024

func bad(reason string) *Error { return &Error{Status: http.StatusBadRequest, Reason: reason} }
