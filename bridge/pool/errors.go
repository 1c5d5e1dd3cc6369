package pool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

var (
	// ErrClosed is returned by Lease after Close.
	ErrClosed = errors.New("pool: closed")
	// ErrWaitTimeout is returned by Lease when every connection stayed taken, or
	// every backlog full, for Config.WaitTimeout.
	ErrWaitTimeout = errors.New("pool: no connection became free in time")
	// ErrInterrupted is what Next and Write return after Lease.Interrupt.
	ErrInterrupted = errors.New("pool: interrupted")
	// ErrOverloaded means the application ended the request with FCGI_OVERLOADED.
	ErrOverloaded = errors.New("the application is overloaded (FCGI_OVERLOADED)")
	// ErrCantMultiplex means the application ended the request with FCGI_CANT_MPX_CONN.
	ErrCantMultiplex = errors.New("the application refuses a second request on the connection (FCGI_CANT_MPX_CONN)")
	// ErrUnknownRole means the application ended the request with FCGI_UNKNOWN_ROLE.
	ErrUnknownRole = errors.New("the application does not serve the responder role (FCGI_UNKNOWN_ROLE)")
)

// Replay says whether a request that failed may be sent once more.
type Replay uint8

const (
	// ReplayNever: the application may have acted on the request.
	ReplayNever Replay = iota
	// ReplayIdempotent: the application may have read the request, but a kept
	// connection that dies without a byte of answer is most likely one that the
	// application had closed already. Safe for idempotent requests.
	ReplayIdempotent
	// ReplaySafe: the application provably never ran the request.
	ReplaySafe
)

func (r Replay) String() string {
	return [...]string{"never", "if idempotent", "safe"}[r]
}

// Error is a failure on a leased connection.
//
// A reset is no proof that the application did not run the request, although
// Linux resets a connection exactly when bytes were left unread: PHP runs a
// script with the end of STDIN still unread, so a worker killed in the middle
// of it resets the connection too.
type Error struct {
	Op      string // "write", "read", "answer"
	Addr    string
	Err     error
	Replay  Replay
	Fresh   bool // the connection was dialled for this request
	Silence bool // not one byte of answer had come
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Addr, e.reason()) }

func (e *Error) Unwrap() error { return e.Err }

func (e *Error) reason() string {
	switch {
	case errors.Is(e.Err, os.ErrDeadlineExceeded):
		return "timed out"
	case errors.Is(e.Err, io.EOF):
		return "the application closed the connection"
	case errors.Is(e.Err, syscall.ECONNRESET), errors.Is(e.Err, syscall.EPIPE):
		return "the application closed the connection (reset)"
	}
	return e.Err.Error()
}

// Refused reports the pattern of a server that accepts and closes because it is
// full: a fresh connection that was gone before it answered anything, with our
// bytes unread, or before a byte could be written.
func (e *Error) Refused() bool {
	unread := e.Replay == ReplaySafe || errors.Is(e.Err, syscall.ECONNRESET) || errors.Is(e.Err, syscall.EPIPE)
	return e.Fresh && e.Silence && unread
}

// DialError is a failed attempt to connect to one instance.
type DialError struct {
	Addr string
	Err  error
}

func (e *DialError) Error() string {
	return fmt.Sprintf("dial %s: %s", e.Addr, dialReason(e.Err))
}

func (e *DialError) Unwrap() error { return e.Err }

func dialReason(err error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused (is the application running?)"
	case errors.Is(err, fs.ErrNotExist):
		return "no such socket (is the application running, and is the path right?)"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied (may this user write to the socket?)"
	case errors.Is(err, syscall.EAGAIN):
		return "the listen backlog is full"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	return err.Error()
}

// UnavailableError means no instance could be connected to. It names each.
type UnavailableError struct{ Dials []*DialError }

func (e *UnavailableError) Error() string {
	texts := make([]string, len(e.Dials))
	for i, d := range e.Dials {
		texts[i] = d.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap lets errors.Is and errors.As see each instance's error.
func (e *UnavailableError) Unwrap() []error {
	errs := make([]error, len(e.Dials))
	for i, d := range e.Dials {
		errs[i] = d
	}
	return errs
}
