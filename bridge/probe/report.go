package probe

import (
	"encoding/json"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/acceptqueue"
	"github.com/sluice-proxy/sluice/bridge/internal/owners"
)

// Report is the result of a probe.
type Report struct {
	Address string `json:"address"`
	// Answer is its answer to the first request.
	Answer Answer `json:"answer"`
	// Owners are the processes that hold its socket.
	Owners Fact[[]owners.Owner] `json:"owners"`
	// Queue is its accept queue before the first connection of the probe.
	Queue Fact[acceptqueue.Queue] `json:"accept_queue"`
	// Values are its answers to GET_VALUES, by name. A value that is known and empty was
	// missing in the answer.
	Values map[string]Fact[string] `json:"values"`
	// AfterValues reports whether a request may follow GET_VALUES on the same connection.
	AfterValues Fact[bool] `json:"request_after_get_values"`
	// KeepAlive is what it does with FCGI_KEEP_CONN.
	KeepAlive Fact[KeepAlive] `json:"keep_alive"`
	// Close is what it does after an answer without FCGI_KEEP_CONN.
	Close Fact[Close] `json:"close"`
	// Multiplex is what it does with two requests at once on one connection.
	Multiplex Fact[Multiplex] `json:"multiplex"`
	// Capacity is how many connections it holds.
	Capacity Fact[Capacity] `json:"capacity"`
	// TookMS is how long the probe took, in milliseconds.
	TookMS float64 `json:"took_ms"`
}

// Fact is a measured value, or the reason why it was not measured.
type Fact[T any] struct {
	Known  bool
	Value  T
	Reason string // why it is not known, or why the value may be incomplete
}

// MarshalJSON leaves out the value of a Fact that is not known.
func (f Fact[T]) MarshalJSON() ([]byte, error) {
	if !f.Known {
		return json.Marshal(map[string]any{"known": false, "reason": f.Reason})
	}
	fields := map[string]any{"known": true, "value": f.Value}
	if f.Reason != "" {
		fields["reason"] = f.Reason
	}
	return json.Marshal(fields)
}

func known[T any](v T) Fact[T] { return Fact[T]{Known: true, Value: v} }

func unknown[T any](reason string) Fact[T] { return Fact[T]{Reason: reason} }

// is reports whether f is known to be v.
func is[T comparable](f Fact[T], v T) bool { return f.Known && f.Value == v }

// Answer is an answer to a request.
type Answer struct {
	Status      int     `json:"status"` // HTTP status; 0 if the header was not valid
	ContentType string  `json:"content_type,omitempty"`
	Bytes       int     `json:"bytes"` // of STDOUT, the header included
	TookMS      float64 `json:"took_ms"`
	Stderr      string  `json:"stderr,omitempty"` // the first line
	// Note explains an answer of known meaning, such as PHP's to a request without a script.
	Note string `json:"note,omitempty"`
	// Preset is the preset of Sluice for an application that runs scripts: "php" or "cgi".
	Preset string `json:"preset,omitempty"`
}

// KeepAlive is what an application does with FCGI_KEEP_CONN.
type KeepAlive string

// What applications do with FCGI_KEEP_CONN.
const (
	// Kept: the connection stayed open and took a second request.
	Kept KeepAlive = "kept"
	// Closed: it was closed after the answer.
	Closed KeepAlive = "closed"
	// Stalled: it stayed open, and a further request on it was not answered, or no other
	// connection was accepted. So behaves a libfcgi program whose threads hold a lock around
	// FCGX_Accept_r, or of which one thread accepts for all.
	Stalled KeepAlive = "stalled"
)

// Close is what an application does after an answer without FCGI_KEEP_CONN.
type Close string

// What applications do after an answer without FCGI_KEEP_CONN.
const (
	// CloseBoth: it closes the connection.
	CloseBoth Close = "closes"
	// CloseHalf: it closes its sending side and reads until the peer has closed; the worker is
	// held until then.
	CloseHalf Close = "waits"
	// CloseNot: it leaves the connection open.
	CloseNot Close = "stays open"
)

// Multiplex is what an application does with two requests on one connection.
type Multiplex string

// What applications do with two requests on one connection.
const (
	// MultiplexWorks: the second was answered while the first was unfinished.
	MultiplexWorks Multiplex = "works"
	// MultiplexSerial: the second was answered after the first.
	MultiplexSerial Multiplex = "serial"
	// MultiplexRefused: the second was ended with FCGI_CANT_MPX_CONN.
	MultiplexRefused Multiplex = "refused"
	// MultiplexLost: one of them was never answered, or the connection closed.
	MultiplexLost Multiplex = "lost"
)

// Full is what an application does with one connection more than it holds.
type Full string

// What applications do with a connection too many.
const (
	// FullCloses: it accepts the connection and closes it at once.
	FullCloses Full = "closes"
	// FullWaits: the connection is not answered until another one is closed. An idle kept
	// connection occupies a worker.
	FullWaits Full = "waits"
	// FullOverloaded: it ends the request with FCGI_OVERLOADED.
	FullOverloaded Full = "overloaded"
	// FullUnseen: there was no limit up to Config.Max.
	FullNotSeen Full = "not seen"
)

// Capacity is how many connections an application holds, each kept and idle
// after a request.
type Capacity struct {
	Connections int  `json:"connections"`
	Full        Full `json:"full"`
	// Queued is how many connections were in the accept queue while the application was full. It
	// is known if Full is FullWaits and the system tells.
	Queued Fact[int] `json:"queued"`
	// Dropped is how many connections it closed after it had answered on them.
	Dropped int `json:"dropped,omitempty"`
}

// valueNames are the names requested with GET_VALUES, each on a connection of its own, so that
// an unknown name does not affect the answer to a known one.
var valueNames = [...]string{fcgi.MpxsConns, fcgi.MaxConns, fcgi.MaxReqs}
