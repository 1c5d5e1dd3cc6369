package bridge

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/events"
	"github.com/sluice-proxy/sluice/bridge/fleet"
	"github.com/sluice-proxy/sluice/bridge/internal/app"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// ErrorType is an error type of Proxy-Status (RFC 9209, section 2.3); docs/errors.md lists those
// in use.
type ErrorType = exchange.ErrorType

// Refusal is the reason for not sending a request to the application.
type Refusal = exchange.Refusal

// Decision is what has become of the question to an authorizer: "granted", "denied", or "failed" if
// it could not be asked, or gave no answer that could be used.
type Decision = exchange.Decision

// Outcome is what became of one request. It is valid during the call of Observe
// it is passed to.
type Outcome struct {
	Client    string        // the client's address, as far as it can be trusted
	User      string        // REMOTE_USER, "" if nobody was authenticated
	Status    int           // as the client saw it, or StatusClientClosed
	BytesIn   int64         // of the request's body that were read
	BytesOut  int64         // of the answer's body that the client was sent
	ErrorType ErrorType     // the Proxy-Status error type, "" if there was none
	Err       error         // what happened, nil if nothing did
	Aborted   bool          // the client's connection was cut, because the answer could not be ended properly
	ClientKey uint64        // who asked, as a hash that admission.ClientKeyName makes readable; 0: not known
	Lane      string        // what the gate took it for: "short", "unknown", "mixed", "long"; "" if it was not asked
	Refused   Refusal       // why it was refused: "full", "timeout", "predicted", "stalled", "down", "upgrades", "quarantined", "addresses", "logins", "holds", "drain"; "" if it was not
	Instance  string        // the address that answered, "" if none was asked
	Reused    bool          // its connection was a kept one
	Attempts  int           // times the request was sent
	Upload    time.Duration // waiting for the client's body, before the request was queued
	Queued    time.Duration // waiting for a worker and a connection
	Leasing   time.Duration // of Queued, the part that waited for the connection
	FirstByte time.Duration // from sending the request to the header of the answer
	Answer    time.Duration // from then to the end of the application's answer
	Total     time.Duration // from the call of ServeHTTP to its end; what the other times leave, the client has taken
	LongPoll  bool          // it was known to take long before it began: LongPoll lists it, or it asked for an event stream
	QueuedAt  time.Time     // when it began to wait for a worker; zero: it was not queued
	GrantedAt time.Time     // when it got a worker; zero: it got none
	SentAt    time.Time     // when it was sent, the last time; zero: it was not

	// Authorizer is its last decision, "" if it was not asked. If that is not "granted", Instance
	// and what follows it are the authorizer's.
	Authorizer  Decision
	Authorizing time.Duration // waiting for the authorizer and its answer

	// Held is how long the client was held for messages, HeldEnd how that ended: "answered",
	// "closed", "expired", "missed", "slow", "drained" or "left"; "" if it was not held.
	Held    time.Duration
	HeldEnd string
	// Gone is true for a request of Sluice's own, which tells the application that a held client is
	// gone: Grip-Link with rel=gone. Nobody is sent the answer.
	Gone bool
}

// Snapshot is the state of an Application at one instant, with the requests of all its sites,
// or of one Handler.
type Snapshot struct {
	InFlight     int64                `json:"in_flight"` // requests in ServeHTTP, and what tells the application of clients that are gone; all other fields are about the whole application
	Abandoned    int64                `json:"abandoned"` // answers awaited for nobody, until their workers are free
	Gate         admission.Snapshot   `json:"gate"`
	AddressLimit AddressLimitSnapshot `json:"address_limit"`
	Pool         pool.Snapshot        `json:"pool"`
	Spool        spool.Stats          `json:"spool"`
	Compression  CompressionSnapshot  `json:"compression"`

	Authorizer *AuthorizerSnapshot `json:"authorizer,omitempty"` // nil: there is none
	Hold       *HoldSnapshot       `json:"hold,omitempty"`       // nil: clients are not held
	Processes  *supervise.Snapshot `json:"processes,omitempty"`  // nil: the application was not started by Sluice
	Fleet      *fleet.State        `json:"fleet,omitempty"`      // nil: no other gate uses the application
}

// Sample returns a few numbers of the gate, cheap enough to be plotted.
func (a *Application) Sample() admission.Sample { return a.app.Gate.Sample() }

// RequestsInFlight returns the requests that hold workers, the oldest first.
func (a *Application) RequestsInFlight() []admission.InFlight { return a.app.Gate.InFlight() }

// Users returns the routes and the clients that have used the application most lately, n of each at
// most.
func (a *Application) Users(n int) ([]admission.RouteSnapshot, []admission.ClientSnapshot) {
	return a.app.Gate.Users(n)
}

// Events returns what has happened to the application within the last hour, the latest first.
func (a *Application) Events() []events.Event { return a.app.Events.All() }

// AuthorizerSnapshot is the state of an authorizer, and what it has decided.
type AuthorizerSnapshot struct {
	Addr      string `json:"addr"`
	State     string `json:"state"` // as in pool.InstanceSnapshot
	Granted   uint64 `json:"granted"`
	Denied    uint64 `json:"denied"`
	Failed    uint64 `json:"failed"` // it could not be asked, or gave no answer that could be used
	Workers   int    `json:"workers"`
	InUse     int    `json:"in_use"`
	Waiting   int    `json:"waiting"` // requests that wait for a worker of it
	LastError string `json:"last_error,omitempty"`
}

// AddressLimitSnapshot is what became of client keys that were used from too many addresses.
type AddressLimitSnapshot struct {
	ClientKeys int    `json:"client_keys"` // remembered; expired ones included
	Refused    uint64 `json:"refused"`     // requests that were answered with 429
	Evicted    uint64 `json:"evicted"`     // addresses that had to make room for another
}

// CompressionSnapshot is about the encoders that compress answers, of all sites together.
type CompressionSnapshot struct {
	InUse  int64  `json:"in_use"` // each for an answer that is being sent
	Lacked uint64 `json:"lacked"` // answers that were sent as they are because their site had as many as Compression.Most
}

// Snapshot returns the state of the application, with the requests of all its sites.
func (a *Application) Snapshot() Snapshot {
	s := a.QuickSnapshot()
	s.Processes = a.app.ProcessStats()
	return s
}

// QuickSnapshot is Snapshot without what the processes use, which takes a look at all processes of
// the system.
func (a *Application) QuickSnapshot() Snapshot {
	limits := a.app.AddressLimits()
	return Snapshot{
		InFlight:     a.app.InFlight(),
		Abandoned:    a.app.Abandoned(),
		Gate:         a.app.Gate.Snapshot(),
		AddressLimit: AddressLimitSnapshot{limits.Keys, limits.Refused, limits.Evicted},
		Pool:         a.app.Pool.Snapshot(),
		Spool:        a.app.Spool().Stats(),
		Compression:  CompressionSnapshot{a.encoders.InUse.Load(), a.encoders.Lacked.Load()},
		Authorizer:   authorizerSnapshot(a.app.Authorizer),
		Hold:         holdSnapshot(a.app.Holds),
		Processes:    a.app.QuickProcessStats(),
		Fleet:        a.app.FleetState(),
	}
}

func authorizerSnapshot(a *app.Authorizer) *AuthorizerSnapshot {
	if a == nil {
		return nil
	}
	gate := a.Gate.Snapshot()
	s := &AuthorizerSnapshot{Workers: gate.Workers, InUse: gate.InUse, Waiting: gate.Waiting}
	for _, in := range a.Pool.Snapshot().Instances { // the last one, if the one before is not empty yet
		s.Addr, s.State, s.LastError = in.Addr, in.State, in.LastError
	}
	s.Granted, s.Denied, s.Failed = a.Decisions()
	return s
}

// Snapshot returns the state of the application, with the requests of h.
func (h *Handler) Snapshot() Snapshot {
	s := h.app.Snapshot()
	s.InFlight = h.InFlight()
	return s
}
