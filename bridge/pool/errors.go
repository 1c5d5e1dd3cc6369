package pool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/sluice-proxy/sluice/bridge/pool/mux"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

var (
	// ErrClosed is returned by Lease after Close.
	ErrClosed = errors.New("pool: closed")
	// ErrWaitTimeout is returned by Lease when every connection stayed taken, or
	// every backlog full, for Config.WaitTimeout.
	ErrWaitTimeout = errors.New("pool: no connection became free in time")
	// ErrInterrupted is what Begin, Body and Next return after Lease.Interrupt.
	ErrInterrupted = mux.ErrInterrupted
	// ErrSendTimeout, ErrLagging and ErrNoMemory are the errors of shared connections.
	ErrSendTimeout = mux.ErrSendTimeout
	ErrLagging     = mux.ErrLagging
	ErrNoMemory    = mux.ErrNoMemory
	// ErrRemoved means that the instance was removed while it worked on the request.
	ErrRemoved = errors.New("pool: the instance was removed, and the connection cut")
	// ErrNotAccepted means that the application does not run and never accepted the
	// connection (Fail).
	ErrNotAccepted = errors.New("pool: the application does not run, and has not accepted the connection")
	// errTurnedAway means that the application closed a new connection at once. It is
	// waited for, and nobody is told.
	errTurnedAway = errors.New("pool: turned away")
	// errNotNeeded means that whoever a dial was for has gone while it waited.
	errNotNeeded = errors.New("pool: the connection is no longer needed")
)

// Replay says whether a request that failed may be sent once more.
type Replay uint8

const (
	// ReplayNever: the application may have acted on the request.
	ReplayNever Replay = iota
	// ReplayIdempotent: the application may have read the request, but a kept
	// connection that dies without a byte of answer is most likely one that the
	// application had closed already, and a new one that is reset one that it had no
	// room for. Safe for idempotent requests.
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
	// Full: the application has no room for the request now: it closed a new
	// connection at once, or said that it is overloaded. It is not broken for that.
	Full bool
	// Serving: the instance has answered a request within the last minute. One that is
	// full all the time and never answers may be broken after all.
	Serving bool
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Addr, e.text()) }

func (e *Error) Unwrap() error { return e.Err }

func (e *Error) text() string {
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

// reason is why a request may be worth sending again.
func (e *Error) reason() reason {
	switch {
	case errors.Is(e.Err, upstream.ErrOverloaded):
		return overloaded
	case errors.Is(e.Err, upstream.ErrCantMultiplex):
		return cantMultiplex
	case errors.Is(e.Err, ErrRequestUnread):
		return requestUnread
	case e.Full:
		return turnedAway
	}
	return stale
}

// reason is what a replay is counted under.
type reason uint8

const (
	stale         reason = iota // a kept connection that the application had closed
	turnedAway                  // a new connection that it closed because it was full
	overloaded                  // upstream.ErrOverloaded
	cantMultiplex               // upstream.ErrCantMultiplex
	requestUnread               // a kept connection that the application did not read
	reasons
)

func (r reason) String() string {
	return [...]string{"stale", "turned_away", "overloaded", "cant_multiplex", "ignored"}[r]
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
