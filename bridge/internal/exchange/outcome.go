package exchange

import "time"

// StatusClientClosed is Outcome.Status if the client left before it was answered. It is
// nginx's, and never sent.
const StatusClientClosed = 499

// ErrorType is an error type of Proxy-Status (RFC 9209, section 2.3).
type ErrorType string

// Refusal is the reason for not sending a request to the application, "" if it was sent.
type Refusal string

// Outcome is what became of one request; bridge.Outcome documents the fields.
type Outcome struct {
	Client    string
	User      string
	Status    int
	BytesIn   int64
	BytesOut  int64
	ErrorType ErrorType
	Err       error
	Aborted   bool
	ClientKey uint64
	Lane      string
	Refused   Refusal
	Instance  string
	Reused    bool
	Attempts  int
	Upload    time.Duration
	Queued    time.Duration
	Leasing   time.Duration
	FirstByte time.Duration
	Answer    time.Duration
	Total     time.Duration
	LongPoll  bool
	QueuedAt  time.Time
	GrantedAt time.Time
	SentAt    time.Time

	Authorizer  Decision
	Authorizing time.Duration

	Held    time.Duration
	HeldEnd string
	Gone    bool
}
