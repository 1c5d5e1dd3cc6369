package page

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/events"
)

// View is the state that the page shows. Durations are in seconds.
type View struct {
	Time         time.Time          `json:"time"`
	Started      time.Time          `json:"started"` // of this Page: another one has another history
	Version      string             `json:"version,omitempty"`
	Lanes        []string           `json:"lanes"`   // the order of lanes in points
	Reasons      []string           `json:"reasons"` // the order of refusals in points
	Front        *Front             `json:"front,omitempty"`
	Applications []ApplicationState `json:"applications"`
}

// ApplicationState is the state of one application.
type ApplicationState struct {
	Name     string     `json:"name"`
	Findings []Finding  `json:"findings"` // what is the matter, the most important first; never empty
	Workers  Workers    `json:"workers"`
	Waiting  Waiting    `json:"waiting"`
	Started  bool       `json:"spawned"` // Sluice has started the processes
	Memory   *Memory    `json:"memory,omitempty"`
	Fleet    *Fleet     `json:"fleet,omitempty"` // nil: no other gate uses the application
	Parts    []Instance `json:"instances"`

	InFlight []Request `json:"in_flight"` // the oldest, MostInFlight at most
	Running  int       `json:"running"`   // how many there are
	Routes   []Route   `json:"routes"`
	Clients  []Client  `json:"clients"`

	Events []events.Event `json:"events"`
	Point  *Point         `json:"point,omitempty"`   // the latest
	Points []Point        `json:"history,omitempty"` // the oldest first; only in view.json
}

// Workers says what each worker does. The numbers but All, Reserve and LongCap add up to All.
type Workers struct {
	All       int `json:"all"`       // as configured
	Idle      int `json:"idle"`      // there is a worker, and no request
	Short     int `json:"short"`     // started as short or unknown
	Long      int `json:"long"`      // started as mixed or long
	Aged      int `json:"aged"`      // started as short or unknown, and has become long
	Abandoned int `json:"abandoned"` // nobody waits for the answer any more
	Closing   int `json:"closing"`   // its connection is being closed, or its process works on after an answer
	Missing   int `json:"missing"`   // the application holds fewer requests than it has workers
	Elsewhere int `json:"elsewhere"` // others have it: another gate of the fleet, or the process before this one

	Reserve int `json:"reserve"`  // long requests never take the last ones
	LongCap int `json:"long_cap"` // long requests start while there are fewer
}

// Waiting says how many requests wait, and for what.
type Waiting struct {
	Queue      int `json:"queue"`      // short and unknown ones, for a worker
	Parked     int `json:"parked"`     // mixed and long ones
	Held       int `json:"held"`       // clients that wait for a message, and for no worker
	Connection int `json:"connection"` // those that have a worker, for a connection to it
	Accept     int `json:"accept"`     // connections that the application has not accepted; -1: not known
	Backlog    int `json:"backlog"`    // how many of these there may be
}

// Fleet is what a gate has of the workers that it shares with others.
type Fleet struct {
	Status string `json:"status"`
	Leased int    `json:"leased"` // workers
	Gates  int    `json:"gates"`
}

// Memory is what all processes use together.
type Memory struct {
	Used  uint64 `json:"used"`
	Limit uint64 `json:"limit,omitempty"` // 0: there is none
}

// Instance is one instance of the application.
type Instance struct {
	Addr      string  `json:"addr"`
	State     string  `json:"state"`
	Workers   int     `json:"workers"`
	Busy      int     `json:"busy"`
	Idle      int     `json:"idle"`    // kept connections
	Accept    int     `json:"accept"`  // as Waiting.Accept
	Backlog   int     `json:"backlog"` // as Waiting.Backlog
	LastError string  `json:"last_error,omitempty"`
	PID       int     `json:"pid,omitempty"`
	Process   string  `json:"process,omitempty"` // the state of its process
	Processes int     `json:"processes,omitempty"`
	Answered  uint64  `json:"answered,omitempty"`
	Age       float64 `json:"age,omitempty"` // of the process
	Memory    uint64  `json:"memory,omitempty"`
	Limit     uint64  `json:"limit,omitempty"` // of Memory; 0: there is none
}

// MostInFlight is how many requests in flight are listed, and mostUsers how many routes and clients.
const (
	MostInFlight = 500
	mostUsers    = 100
)

// Request is a request that holds a worker.
type Request struct {
	Number   uint64  `json:"n"`
	Age      float64 `json:"age"`
	Lane     string  `json:"lane"`
	State    string  `json:"state"` // as the fields of Workers: "short", "long", "aged", "abandoned"
	Route    string  `json:"route"`
	Client   string  `json:"client,omitempty"`
	Instance string  `json:"instance,omitempty"`
	PID      int     `json:"pid,omitempty"`
}

// Route is a route that has used workers lately.
type Route struct {
	Route   string  `json:"route"`
	Lane    string  `json:"lane"`
	Running int     `json:"running"`
	Short   int     `json:"short"` // of its last 64 requests
	Long    int     `json:"long"`
	Work    float64 `json:"work"` // worker-seconds in about the last minute
}

// Client is a client key that has used workers lately.
type Client struct {
	Client  string  `json:"client"`
	Shared  bool    `json:"shared"` // it may stand for many people
	Running int     `json:"running"`
	Waiting int     `json:"waiting"`
	Spent   bool    `json:"spent"` // its budget is spent
	Work    float64 `json:"work"`
}

// Point is one second of the history. Times are in milliseconds; null where nothing has ended.
type Point struct {
	Time    int64      `json:"t"` // Unix seconds
	Ended   []int      `json:"ended"`
	P50     []*float64 `json:"p50"` // by lane
	P95     []*float64 `json:"p95"`
	P99     []*float64 `json:"p99"`
	Refused []int      `json:"refused"` // by reason
	InUse   int        `json:"in_use"`
	Long    int        `json:"long"`
	Slots   int        `json:"capacity"`
	Queue   int        `json:"queue"`
	Parked  int        `json:"parked"`
}

// stateOf is the state of a request for Request.State.
func stateOf(r *admission.InFlight) string {
	switch {
	case r.Abandoned:
		return "abandoned"
	case r.Lane == admission.Long || r.Lane == admission.Mixed:
		return "long"
	case r.Aged:
		return "aged"
	}
	return "short"
}
