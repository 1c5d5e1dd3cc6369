package supervise

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Front sends the requests to the instances of a Group. Its methods are called by one
// goroutine at a time, and must neither block nor call the Group.
type Front interface {
	// Add has requests sent to an instance. alive reports whether its process runs.
	Add(addr string, alive func() bool) error
	// Drain has no more requests sent to an instance. It returns a channel that is closed when
	// no connection to the instance is left.
	Drain(addr string) <-chan struct{}
	// Resume undoes Drain.
	Resume(addr string)
	// Remove removes an instance. Connections that are left are closed.
	Remove(addr string)
	// Fail tells that no process will read for a while what was sent to an instance, and none is left
	// that has read any of it: requests that were not read should go to another one, or be refused.
	Fail(addr string)
	// Load is how many requests there are.
	Load() Load
	// Connected is how many connections there are to an instance. steady is false while one is
	// being made or closed.
	Connected(addr string) (n int, steady bool)
	// InFlight lists the requests that are at an instance.
	InFlight(addr string) []Request
	// Down tells that no process runs, nor will for a while: waiting requests should be
	// refused.
	Down()
}

// Load is how many requests the application works on, and how many wait for it.
type Load struct {
	InFlight, Waiting int
}

// Request is a request that is at an instance, or was when its process ended.
type Request struct {
	Method string
	Path   string
	Route  string // the same for requests that are alike
	Age    time.Duration
}

// MarshalJSON writes a Request for people.
func (r Request) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Method string  `json:"method"`
		Path   string  `json:"path"`
		Age    float64 `json:"age_s"`
	}{r.Method, r.short(), r.Age.Seconds()})
}

// maxShownPath is how much of a path is shown, in bytes.
const maxShownPath = 200

func (r *Request) short() string {
	if len(r.Path) <= maxShownPath {
		return r.Path
	}
	return strings.ToValidUTF8(r.Path[:maxShownPath], "") + "..."
}

// maxShownRequests is how many requests of a list are in the log.
const maxShownRequests = 20

// requests is a list for the log: a line of text, or an array in JSON.
type requests []Request

// MarshalText is for slog.TextHandler.
func (l requests) MarshalText() ([]byte, error) {
	var text []byte
	for i, r := range l[:min(len(l), maxShownRequests)] {
		if i > 0 {
			text = append(text, "; "...)
		}
		text = fmt.Appendf(text, "%s %s %v", r.Method, r.short(), r.Age.Round(time.Millisecond))
	}
	if n := len(l) - maxShownRequests; n > 0 {
		text = fmt.Appendf(text, "; and %d more", n)
	}
	return text, nil
}

// MarshalJSON is for slog.JSONHandler.
func (l requests) MarshalJSON() ([]byte, error) {
	return json.Marshal([]Request(l[:min(len(l), maxShownRequests)]))
}

// noFront is a Front that sends no requests.
type noFront struct{}

func (noFront) Add(string, func() bool) error { return nil }

func (noFront) Drain(string) <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func (noFront) Resume(string)                {}
func (noFront) Remove(string)                {}
func (noFront) Fail(string)                  {}
func (noFront) Load() Load                   { return Load{} }
func (noFront) Connected(string) (int, bool) { return 0, true }
func (noFront) InFlight(string) []Request    { return nil }
func (noFront) Down()                        {}
