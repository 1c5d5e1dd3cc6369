package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"
)

// How often a lease is renewed: when nothing presses; when requests wait for more than the lease has,
// and then half as often after each time that brings no more. Usage is looked at every lookEvery.
const (
	renewEvery   = time.Second
	renewPressed = 200 * time.Millisecond
	lookEvery    = 100 * time.Millisecond
	warnAfter    = 2 // renewals that failed
	renewTimeout = time.Second
	leaveTimeout = time.Second
)

// Config is what a Member is told. All fields but Clients, Changed and Logger must be set.
type Config struct {
	Terms  Terms
	Ledger Ledger // Close closes it
	Name   string // of this gate, the same after it is started anew; no other has it
	// Usage returns what the gate needs now. Apply puts in force what it may use: Connections until a
	// time, and Then from then on. Both are called by one goroutine.
	Usage func() Usage
	Apply func(connections int, until time.Time, then int)
	// Clients are those of the gate. It may be nil: they are not counted together with those of other gates.
	Clients Clients
	// Changed is told when the Status of the State changes. It may be nil.
	Changed func(State)
	Logger  *slog.Logger // default: none
}

// Member is a gate of a fleet. New, Start, and Close last.
type Member struct {
	cfg   Config
	gate  string // this process
	first Key    // of clients' names, until there is one of the fleet

	drain  chan struct{}
	once   sync.Once
	cancel context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	state State
}

// State is what a Member knows.
type State struct {
	Name    string `json:"name"`
	Status  string `json:"status"`  // "waiting" for its first lease, "leased", "alone", "crowded", "draining"
	Allowed int    `json:"allowed"` // connections to each instance
	Share   int    `json:"share"`   // what it may use without a lease
	Gates   int    `json:"gates"`   // that were there at the last renewal
	Most    int    `json:"most"`    // that there may be
	Others  int    `json:"others"`  // what they held then
	Renewed uint64 `json:"renewed"` // renewals
	Failed  uint64 `json:"failed"`  // renewals without an answer
	Error   string `json:"error,omitempty"`
	// Key tells whether gates name clients by the same key: it is the beginning of that key's SHA-256.
	Key   string    `json:"key,omitempty"`
	Since time.Time `json:"since"` // when Status changed
}

// The statuses of a State.
const (
	Waiting     = "waiting"
	Leased      = "leased"
	Alone       = "alone"
	TooMany     = "crowded"
	DrainingNow = "draining"
)

// New checks cfg and returns a Member that does nothing yet.
func New(cfg Config) (*Member, error) {
	if err := cfg.Terms.check(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Member{cfg: cfg, gate: newGate(), drain: make(chan struct{}), ended: make(chan struct{})}
	_, _ = rand.Read(m.first[:]) // never fails
	if cfg.Clients != nil {
		cfg.Clients.SetKey(m.first)
	}
	return m, nil
}

// newGate returns what this process is called in the ledger.
func newGate() string { return rand.Text() }

// Start begins, unless it has begun. Until there is a lease, the gate may use nothing; without a ledger, it may use its
// share after a term.
func (m *Member) Start() {
	if m.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	d := newDriver(m, time.Now())
	go func() {
		defer close(m.ended)
		d.run(ctx)
	}()
}

// Drain has the gate give back what it does not need any more. It does not wait.
func (m *Member) Drain() { m.once.Do(func() { close(m.drain) }) }

// Close tells the ledger that the gate is gone, which must have no connections any more, and waits for
// that for a second at most.
func (m *Member) Close() {
	if m.cancel != nil {
		m.cancel()
		<-m.ended
	}
	_ = m.cfg.Ledger.Close() // only reports go over it
}

// State returns what is known.
func (m *Member) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

func newDriver(m *Member, now time.Time) *driver {
	d := &driver{m: m, lease: lease{terms: m.cfg.Terms, began: now}, mode: Join, names: m.first}
	d.apply(now)
	d.observe(now, Grant{})
	return d
}

// driver drives a lease. It belongs to the goroutine of a Member.
type driver struct {
	lease
	m        *Member
	mode     Mode
	sent     time.Time     // the last renewal
	held     int           // what it said
	press    time.Duration // how long after it requests that wait make the next one due
	differs  bool
	forgets  bool
	err      error
	failures int   // renewals in a row that had no answer
	applied  limit // the last one
	told     bool  // there was one

	names       Key       // of clients
	namesSince  time.Time // when it became that of this gate; zero: the ledger has never confirmed it
	toldClients time.Time // when the ledger was told of clients last
	uncounted   bool      // the ledger said that it cannot count them
}

type limit struct {
	connections, then int
	until             time.Time
}

func (d *driver) run(ctx context.Context) {
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	draining := d.m.drain
	for {
		if r, due := d.look(time.Now(), d.m.cfg.Usage()); due {
			g, err := d.renew(ctx, r)
			d.answered(time.Now(), r, g, err)
		}
		select {
		case <-ctx.Done():
			d.leave()
			return
		case <-draining:
			draining = nil
			d.startDrain()
		case <-ticks.C:
		}
	}
}

// renew sends a report.
func (d *driver) renew(ctx context.Context, r Report) (Grant, error) {
	ctx, cancel := context.WithTimeout(ctx, min(renewTimeout, d.terms.Term/2))
	defer cancel()
	g, err := d.m.cfg.Ledger.Renew(ctx, d.terms, r)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return g, err
}

// startDrain has the next reports say that the gate drains.
func (d *driver) startDrain() { d.mode, d.sent = Drain, time.Time{} }

// look puts in force what the gate may use by now, and returns the next report if it is due.
func (d *driver) look(now time.Time, use Usage) (r Report, due bool) {
	d.note(now, use)
	d.apply(now)
	if !d.due(now, use) {
		return Report{}, false
	}
	r = d.report(now, use, d.mode)
	r.Gate, r.Name = d.m.gate, d.m.cfg.Name
	d.sent, d.held = now, r.Holds
	if d.m.cfg.Clients != nil && now.Sub(d.toldClients) > renewEvery-lookEvery {
		d.toldClients = now
		r.Clients = d.clients(now)
	}
	return r, true
}

// clients is what there is to be told of clients.
func (d *driver) clients(now time.Time) *ClientReport {
	r := &ClientReport{Key: d.names, Age: -time.Second}
	if !d.namesSince.IsZero() {
		r.Age = now.Sub(d.namesSince)
	}
	r.Counts, r.Sightings = d.m.cfg.Clients.Report()
	return r
}

// learn passes on what is known of clients.
func (d *driver) learn(now time.Time, g *ClientGrant) {
	if g.Failed != "" {
		if !d.uncounted {
			d.m.cfg.Logger.Warn("the fleet's engine cannot count clients, whose limits hold at each gate alone", "error", g.Failed,
				"advice", "let the user of fleet.engine run HMGET, HLEN, HSET and PEXPIRE on sluice:*")
		}
		d.uncounted = true
		return
	}
	d.uncounted = false
	if d.namesSince.IsZero() || g.Key != d.names {
		d.namesSince = now
	}
	if g.Key != d.names {
		d.names = g.Key
		d.m.cfg.Clients.SetKey(g.Key)
		return // it was asked about other names
	}
	d.m.cfg.Clients.Learn(g.Counted, g.Barred, d.ends())
}

// due reports whether it is time to renew.
func (d *driver) due(now time.Time, use Usage) bool {
	since := now.Sub(d.sent)
	allowed := d.allowed(now)
	switch {
	case since >= renewEvery:
		return true
	case d.err != nil:
		return false
	case max(allowed, use.Connections) < d.held: // others wait for what was given back
		return true
	}
	return use.Wanted > allowed && allowed < d.terms.Workers && since >= d.press
}

// answered notes what came of the last report.
func (d *driver) answered(now time.Time, r Report, g Grant, err error) {
	before := d.allowed(now)
	if d.err = err; err == nil && d.grant(d.sent, r, g) {
		d.apply(now)
		if g.Clients != nil {
			d.learn(now, g.Clients)
		}
	}
	if d.press *= 2; d.allowed(now) > before || r.Wanted <= before {
		d.press = renewPressed
	}
	d.observe(now, g)
}

// leave is the last renewal.
func (d *driver) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	r := Report{Gate: d.m.gate, Name: d.m.cfg.Name, Seq: d.seq + 1, Mode: Leave}
	if _, err := d.m.cfg.Ledger.Renew(ctx, d.terms, r); err != nil {
		d.m.cfg.Logger.Warn("the fleet's engine was not told that this gate is gone; its workers are given to others later",
			"error", err.Error(), "after", d.terms.Term+termMargin+d.terms.Settle, "advice", "see whether the engine runs (fleet.engine)")
	}
}

// apply puts in force what the gate may use from a time on.
func (d *driver) apply(now time.Time) {
	l := limit{connections: d.allowed(now)}
	if d.holds(now) {
		l.until = d.ends()
		l.then = min(l.connections, d.terms.Share())
	}
	if l != d.applied || !d.told {
		d.applied, d.told = l, true
		d.m.cfg.Apply(l.connections, l.until, l.then)
	}
}

// observe updates the State, and tells the log what has changed.
func (d *driver) observe(now time.Time, g Grant) {
	d.m.mu.Lock()
	before := d.m.state
	s := before
	s.Name, s.Share, s.Most, s.Allowed = d.m.cfg.Name, d.terms.Share(), d.terms.Gates, d.allowed(now)
	s.Error = ""
	if d.m.cfg.Clients != nil {
		sum := sha256.Sum256(d.names[:])
		s.Key = hex.EncodeToString(sum[:4])
	}
	switch {
	case d.err != nil:
		d.failures++
		s.Failed++
		s.Error = d.err.Error()
	case g.Status != "":
		d.failures = 0
		s.Renewed++
		s.Gates, s.Others = g.Gates, g.Others
	}
	switch {
	case d.mode == Drain:
		s.Status = DrainingNow
	case g.Status == Crowded:
		s.Status = TooMany
	case d.err == nil && g.Status != "" && (g.Status != Young || s.Allowed > 0):
		s.Status = Leased
	case d.holds(now) && before.Status != "": // it may come back in time
	case d.granted.IsZero() && s.Allowed == 0:
		s.Status = Waiting
	default:
		s.Status = Alone
	}
	if s.Status != before.Status {
		s.Since = now
	}
	d.m.state = s
	d.m.mu.Unlock()
	d.tell(before, s, g)
}

func (d *driver) tell(before, s State, g Grant) {
	log := d.m.cfg.Logger
	if s.Status != before.Status {
		if d.m.cfg.Changed != nil {
			d.m.cfg.Changed(s)
		}
		switch s.Status {
		case Leased:
			log.Info("the fleet's engine has leased workers to this gate", "gate", s.Name, "workers", s.Allowed, "gates", s.Gates)
		case Alone:
			log.Warn("the fleet's engine cannot be reached; this gate uses no more than its share of the workers", "gate", s.Name,
				"share", s.Share, "error", s.Error, "advice", "see whether the engine runs (fleet.engine); nothing else need be done")
		case TooMany:
			log.Error("there are as many gates as there may be, and this one gets no workers", "gate", s.Name, "gates", s.Most,
				"advice", "set fleet.gates to how many gates there are at most, on all of them, or stop one")
		case Waiting:
			log.Info("this gate waits for a lease of workers", "gate", s.Name, "at_most", d.terms.Term)
		}
	}
	if d.failures == warnAfter && s.Status != Alone {
		log.Warn("the fleet's engine does not answer", "gate", s.Name, "error", s.Error,
			"advice", "see whether the engine runs (fleet.engine); without it this gate uses its lease, then its share")
	}
	if g.Status == "" {
		return
	}
	if g.Differ && !d.differs {
		log.Warn("gates of this fleet were told different numbers of workers or gates; the careful ones count", "gate", s.Name,
			"workers", d.terms.Workers, "gates", d.terms.Gates, "advice", "give all of them the same workers and fleet.gates")
	}
	if g.Forgets && !d.forgets {
		log.Warn("the fleet's engine does not say whether it was started anew, and may grant workers twice after that", "gate", s.Name,
			"advice", "let the user of fleet.engine run INFO server")
	}
	d.differs, d.forgets = g.Differ, g.Forgets
}
