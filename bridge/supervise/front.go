package supervise

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Front is what a Group needs of whoever sends the requests. Its methods are called from
// one goroutine, and must not block, nor call the Group.
type Front interface {
	// Add has requests sent to an instance from now on. alive reports whether its
	// process runs.
	Add(addr string, alive func() bool) error
	// Drain has no more sent there. What it returns is closed when no connection to the
	// instance is left.
	Drain(addr string) <-chan struct{}
	// Resume undoes Drain.
	Resume(addr string)
	// Remove forgets an instance. Connections that are left are cut.
	Remove(addr string)
	// Fail tells that no process will accept for a while what was sent to an instance and
	// lies there unread: those requests should go elsewhere, or be refused.
	Fail(addr string)
	// Load tells how much there is to do.
	Load() Load
	// Connected tells how many connections there are to an instance, and whether none of
	// them is being made or closed.
	Connected(addr string) (n int, steady bool)
	// InFlight lists the requests at an instance.
	InFlight(addr string) []Request
	// Down tells that no process runs, nor will for a while: whoever waits should be
	// refused.
	Down()
}

// Load is how many requests the application works on, and how many wait for it.
type Load struct {
	InFlight, Waiting int
}

// Request is one that an instance works on, or worked on when it ended.
type Request struct {
	Method string
	Path   string
	Route  string // requests that are alike have the same
	Age    time.Duration
}

// MarshalJSON writes a Request as people read it.
func (r Request) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Method string  `json:"method"`
		Path   string  `json:"path"`
		Age    float64 `json:"age_s"`
	}{r.Method, r.short(), r.Age.Seconds()})
}

// shownPath is how much of a path is shown, in bytes.
const maxShownPath = 200

func (r *Request) short() string {
	if len(r.Path) <= maxShownPath {
		return r.Path
	}
	return strings.ToValidUTF8(r.Path[:maxShownPath], "") + "..."
}

// shownRequests is how many of a list are shown in the log.
const maxShownRequests = 20

// requests is a list of them as the log has it: a line of text, or an array.
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

// nobody is a Front that sends nothing.
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
