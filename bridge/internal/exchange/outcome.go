package exchange

import "time"

// StatusClientClosed is Outcome.Status if the client left before it was answered. It is
// nginx's, and never sent.
const StatusClientClosed = 499

// Outcome is what became of one request; bridge.Outcome documents the fields.
type Outcome struct {
	Client    string
	User      string
	Status    int
	BytesIn   int64
	BytesOut  int64
	ErrorType string
	Err       error
	Aborted   bool
	ClientKey uint64
	Lane      string
	Refused   string
	Instance  string
	Reused    bool
	Attempts  int
	Queued    time.Duration
	FirstByte time.Duration
	Total     time.Duration
}
