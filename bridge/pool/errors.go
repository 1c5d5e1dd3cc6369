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
	// ErrClosed is the error of Lease after Close.
	ErrClosed = errors.New("pool: closed")
	// ErrWaitTimeout is the error of Lease if there was no connection for the request within
	// Config.WaitTimeout.
	ErrWaitTimeout = errors.New("pool: no connection became free in time")
	// ErrInterrupted is what Begin, Body and Next return after Lease.Interrupt.
	ErrInterrupted = mux.ErrInterrupted
	// ErrSendTimeout, ErrLagging and ErrNoMemory are the errors of shared connections.
	ErrSendTimeout = mux.ErrSendTimeout
	ErrLagging     = mux.ErrLagging
	ErrNoMemory    = mux.ErrNoMemory
	// ErrRemoved means that the instance of the request was removed.
	ErrRemoved = errors.New("pool: the instance was removed, and the connection cut")
	// ErrNotAccepted means that the application does not run, and has not accepted the
	// connection of the request. See Fail.
	ErrNotAccepted = errors.New("pool: the application does not run, and has not accepted the connection")
	// errTurnedAway means that the application closed a new connection at once. The request
	// waits for another one.
	errTurnedAway = errors.New("pool: turned away")
	// errNotNeeded means that the waiter of a dial has left.
	errNotNeeded = errors.New("pool: the connection is no longer needed")
)

// Replay says whether a failed request may be sent again.
type Replay uint8

const (
	// ReplayNever: the application may have acted on the request.
	ReplayNever Replay = iota
	// ReplayIdempotent: the application may have read the request, but a kept
	// connection that dies without a byte of answer is most likely one that the
	// application had closed already, and a new one that is reset one that it had no
	// room for, or one whose request it has not read to its end. Safe for idempotent
	// requests.
	ReplayIdempotent
	// ReplaySafe: the application provably has not run the request.
	ReplaySafe
)

func (r Replay) String() string {
	return [...]string{"never", "if idempotent", "safe"}[r]
}

// Error is a failure on a leased connection.
//
// A reset does not prove that the application has not run the request, although Linux
// resets a connection only if bytes were left unread. PHP runs a script with the end of
// STDIN unread, and if its worker is killed meanwhile, the connection is reset, too.
type Error struct {
	Op      string // "write", "read", "answer"
	Addr    string
	Err     error
	Replay  Replay
	Fresh   bool // the connection was dialled for this request
	Silence bool // no byte of the answer had come
	// Full: the application has no room for the request now. It closed a new connection at
	// once, or said that it is overloaded.
	Full bool
	// Serving: the instance has answered a request within the last minute. An application
	// that is full and never answers may be broken.
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

// reason is under what a replay of the request is counted.
func (e *Error) reason() string {
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

// The reasons of replays, as they are named in Counters.Replays.
const (
	stale         = "stale"          // the application had closed a kept connection
	turnedAway    = "turned_away"    // it closed a new connection because it was full
	overloaded    = "overloaded"     // upstream.ErrOverloaded
	cantMultiplex = "cant_multiplex" // upstream.ErrCantMultiplex
	requestUnread = "ignored"        // it did not read a kept connection
)

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

// UnavailableError means that no instance can be connected to. It has the error of each.
type UnavailableError struct{ Dials []*DialError }

func (e *UnavailableError) Error() string {
	texts := make([]string, len(e.Dials))
	for i, d := range e.Dials {
		texts[i] = d.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the error of each instance.
func (e *UnavailableError) Unwrap() []error {
	errs := make([]error, len(e.Dials))
	for i, d := range e.Dials {
		errs[i] = d
	}
	return errs
}
