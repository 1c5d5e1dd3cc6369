package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// QueueConfig bounds what waits for a worker.
type QueueConfig struct {
	// Size is how many short requests may wait; of one session a quarter. Default 256.
	Size int `json:"size,omitempty"`
	// LongSize is how many long requests may wait, and as many of routes that are not
	// known yet; of one session a quarter, of one address half. Each costs memory, no
	// worker. Default 10000.
	LongSize int `json:"long_size,omitempty"`
	// Timeout is how long a short request may wait, for a worker and then for a
	// connection, together. What waits only for others of its own session has
	// LongTimeout. Default 3 s.
	Timeout Duration `json:"timeout,omitempty"`
	// LongTimeout is how long a long one may wait for a worker. Default 20 s, which
	// clients of long-polls expect.
	LongTimeout Duration `json:"long_timeout,omitempty"`
	// PollAnswer is what a long request gets that is refused, so that a client of
	// long-polls simply asks again. Default: 503, as others get.
	PollAnswer PollAnswer `json:"poll_answer,omitzero"`
}

// PollAnswer is an answer that the application does not give itself. If LongPoll
// names the long-polls, only those that it matches are answered so. Else every
// request is that was taken for long, a slow page or download, too.
type PollAnswer struct {
	// Status is 200 to 599, or 0: there is no such answer.
	Status int `json:"status,omitempty"`
	// ContentType is the body's. Default text/plain; charset=utf-8.
	ContentType string `json:"content_type,omitempty"`
	// Body is sent as it stands. 204 and 304 have none.
	Body string `json:"body,omitempty"`
}

// FlowConfig says who counts as one, and what one may take of the application.
type FlowConfig struct {
	// Key tells who a request is from:
	//
	//   - "auto" (default): by the session cookie, if there is one with a name that many
	//     applications use (docs/admission.md lists them; its value must have 12 characters
	//     at least), else by the user that a front in this process has checked, else by the
	//     client's address.
	//   - "cookie NAME": by that cookie.
	//   - "header NAME": by that request header.
	//   - "user": by the user that a front in this process has checked, else by the
	//     credentials of an Authorization field (Basic or Bearer).
	//   - "client": by the client's address, of IPv6 the first 64 bits.
	//   - "off": requests are from nobody in particular.
	//
	// What lacks the cookie, the header or the user goes by its address. Many people may
	// share that, so it has its turn in the queue, and no limit; unless Key is "client".
	Key string `json:"key,omitempty"`
	// Limit is how many short requests one may have in flight, and long ones as many
	// again. Default: a quarter of the workers, at least 2.
	Limit int `json:"limit,omitempty"`
	// MaxAddresses is from how many addresses one may come within Per: an account that
	// is used in more places is shared. It does not concern those who are told apart by
	// their address. Default: no limit.
	MaxAddresses int `json:"max_addresses,omitempty"`
	// Per is how long an address counts after its last request. Default 10 min.
	Per Duration `json:"per,omitempty"`
	// Excess is what becomes of one address more: Refuse (default) answers it with 429
	// until another has not been seen for Per. Evict lets it in, and answers the one that
	// was not seen for longest with 429 for Per.
	Excess Excess `json:"excess,omitempty"`
}

// Excess is a value of FlowConfig.Excess.
type Excess string

// The values of an Excess.
const (
	Refuse Excess = "refuse"
	Evict  Excess = "evict"
)

// AdmissionConfig is the gate's fine tuning. docs/admission.md says what the values
// do together.
type AdmissionConfig struct {
	// LongAfter is how long a request is in flight before it counts as long. Default
	// 1 s.
	LongAfter Duration `json:"long_after,omitempty"`
	// StallAfter is how long no short request may be finished while there are some in
	// flight, before the application counts as stalled; 20 times their mean time if that
	// is longer. Default 1 s.
	StallAfter Duration `json:"stall_after,omitempty"`
	// WaitTarget is a wait that 1 % of the short requests may exceed because of long
	// ones; twice their mean time if that is longer. Default 100 ms.
	WaitTarget Duration `json:"wait_target,omitempty"`
	// Unknown is how many requests of routes that are not known yet may be in flight
	// together, until they count as long. Default: half the workers.
	Unknown int `json:"unknown,omitempty"`
	// LongMin is how many workers long requests have even when short ones could use
	// them all. Default 1; 0 of four workers or fewer.
	LongMin *int `json:"long_min,omitempty"`
	// FlowRate is what one may take of the application on and on, in workers. Default:
	// an eighth of the workers, at least 1.
	FlowRate float64 `json:"flow_rate,omitempty"`
	// FlowBurst is what one who took less may take at once, in seconds of one worker.
	// Default: half the number of workers.
	FlowBurst float64 `json:"flow_burst,omitempty"`
	// SpentLimit takes the place of Flow.Limit for short requests of one who took more
	// than that. Default: an eighth of the workers, at least 1.
	SpentLimit int `json:"spent_limit,omitempty"`
}

// normalizeGate fills in the defaults of what the gate is told, and checks it.
func (c *Config) normalizeGate() error {
	workers := c.workers()
	d := admission.Defaults(workers)
	if err := c.Lanes.among(On, Off); err != nil {
		return fmt.Errorf("lanes: %w", err)
	}
	if err := c.checkPlain(); err != nil {
		return err
	}
	for _, f := range []struct {
		key      string
		value    *Duration
		fallback time.Duration
	}{
		{"queue.timeout", &c.Queue.Timeout, d.Timeout},
		{"queue.long_timeout", &c.Queue.LongTimeout, d.LongTimeout},
		{"admission.long_after", &c.Admission.LongAfter, d.LongAfter},
		{"admission.stall_after", &c.Admission.StallAfter, d.StallAfter},
		{"admission.wait_target", &c.Admission.WaitTarget, d.WaitTarget},
	} {
		if *f.value < 0 {
			return fmt.Errorf("%s: must not be negative", f.key)
		}
		*f.value = cmp.Or(*f.value, Duration(f.fallback))
	}
	for _, f := range []struct {
		key      string
		value    *int
		fallback int
	}{
		{"queue.size", &c.Queue.Size, d.Size},
		{"queue.long_size", &c.Queue.LongSize, d.LongSize},
		{"flow.limit", &c.Flow.Limit, d.FlowLimit},
		{"flow.max_addresses", &c.Flow.MaxAddresses, 0},
		{"admission.unknown", &c.Admission.Unknown, d.Unknown},
	} {
		if *f.value < 0 {
			return fmt.Errorf("%s: is %d, must not be negative", f.key, *f.value)
		}
		*f.value = cmp.Or(*f.value, f.fallback)
	}
	if err := c.checkLimits(workers, d); err != nil {
		return err
	}
	for _, p := range c.LongPoll {
		if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "*") || strings.Contains(p, "?") {
			return fmt.Errorf("long_poll: %q: want a path beginning with \"/\", without a query; \"*\" stands for any run of characters", p)
		}
		if err := c.canPoll(p); err != nil {
			return err
		}
	}
	if err := c.Queue.PollAnswer.normalize(); err != nil {
		return err
	}
	return c.Flow.normalize()
}

// escaped is a byte as URLs have it.
var escaped = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// canPoll returns why no path that is answered can be as a pattern of LongPoll says.
func (c *Config) canPoll(pattern string) error {
	if escaped.MatchString(pattern) {
		return fmt.Errorf("long_poll: %q: can match nothing, paths are compared when they are decoded: write \"/a b\" for \"/a%%20b\"", pattern)
	}
	fixed, _, star := strings.Cut(pattern, "*")
	if star { // up to the last whole segment
		fixed = fixed[:strings.LastIndexByte(fixed, '/')+1]
	}
	paths := cgi.Config{Mount: c.Mount, Hide: c.Hide}
	if fixed != "" && paths.Hides(strings.TrimPrefix(fixed, strings.TrimSuffix(c.Mount, "/"))) {
		return fmt.Errorf("long_poll: %q: can match nothing, hide has it out of reach", pattern)
	}
	return nil
}

// checkPlain looks for what means nothing in a plain queue.
func (c *Config) checkPlain() error {
	if c.Lanes == On {
		return nil
	}
	for _, f := range []struct {
		key string
		set bool
	}{
		{"long_poll", len(c.LongPoll) > 0},
		{"reserve", c.Reserve != nil},
		{"queue.poll_answer.status", c.Queue.PollAnswer != PollAnswer{}},
		{"flow.limit", c.Flow.Limit != 0},
	} {
		if f.set {
			return fmt.Errorf("%s: means nothing in a plain queue, and lanes is off", f.key)
		}
	}
	return nil
}

// checkLimits checks the numbers that must fit the number of workers, all instances'
// together.
func (c *Config) checkLimits(workers int, d admission.Config) error {
	a := &c.Admission
	if c.Reserve == nil {
		c.Reserve = &d.Reserve
	}
	if a.LongMin == nil {
		a.LongMin = new(min(d.LongMin, workers-*c.Reserve))
	}
	switch most := workers - *c.Reserve; {
	case *c.Reserve != 0 && workers == 1:
		return fmt.Errorf("reserve: is %d, want 0: there is one worker", *c.Reserve)
	case *c.Reserve < 0 || *c.Reserve >= workers:
		return fmt.Errorf("reserve: is %d, want 0 to %d: of %d workers one at least must be left for other requests", *c.Reserve, workers-1, workers)
	case *a.LongMin < 0 || *a.LongMin > most:
		return fmt.Errorf("admission.long_min: is %d, want 0 to %d: the reserve is %d of %d workers", *a.LongMin, most, *c.Reserve, workers)
	case a.Unknown > workers:
		return fmt.Errorf("admission.unknown: is %d, and there are %d workers", a.Unknown, workers)
	case a.SpentLimit < 0 || a.SpentLimit > c.Flow.Limit:
		return fmt.Errorf("admission.spent_limit: is %d, want at most flow.limit, which is %d", a.SpentLimit, c.Flow.Limit)
	case !amount(a.FlowRate):
		return fmt.Errorf("admission.flow_rate: is %g, must be a number and not negative", a.FlowRate)
	case !amount(a.FlowBurst):
		return fmt.Errorf("admission.flow_burst: is %g, must be a number and not negative", a.FlowBurst)
	}
	a.SpentLimit = cmp.Or(a.SpentLimit, min(d.SpentLimit, c.Flow.Limit))
	a.FlowRate, a.FlowBurst = cmp.Or(a.FlowRate, d.FlowRate), cmp.Or(a.FlowBurst, d.FlowBurst)
	return nil
}

func amount(x float64) bool { return x >= 0 && !math.IsInf(x, 1) }

func (p *PollAnswer) normalize() error {
	bodyless := p.Status == http.StatusNoContent || p.Status == http.StatusNotModified
	switch {
	case p.Status == 0 && (p.Body != "" || p.ContentType != ""):
		return errors.New("queue.poll_answer.status: is not set: say what the body goes with, such as 200")
	case p.Status == 0:
		return nil
	case p.Status < 200 || p.Status > 599:
		return fmt.Errorf("queue.poll_answer.status: is %d, want 200 to 599", p.Status)
	case bodyless && p.Body != "":
		return fmt.Errorf("queue.poll_answer.body: an answer with status %d has none", p.Status)
	case strings.ContainsAny(p.ContentType, "\r\n\x00"):
		return fmt.Errorf("queue.poll_answer.content_type: %q is no content type", p.ContentType)
	}
	if !bodyless {
		p.ContentType = cmp.Or(p.ContentType, "text/plain; charset=utf-8")
	}
	return nil
}

func (f *FlowConfig) normalize() error {
	key, err := parseFlowKey(f.Key)
	if err != nil {
		return fmt.Errorf("flow.key: %w", err)
	}
	switch {
	case f.MaxAddresses == 0 && f.Excess != "":
		return errors.New("flow.excess: means nothing without flow.max_addresses, which is not set")
	case f.MaxAddresses == 0 && f.Per != 0:
		return errors.New("flow.per: means nothing without flow.max_addresses, which is not set")
	case f.MaxAddresses == 0:
		return nil
	case key.kind == keyAuto, key.kind == keyOff, key.kind == keyClient:
		return fmt.Errorf("flow.max_addresses: flow.key is %q, which tells no accounts apart: name what an account is known by, such as \"cookie NAME\", \"header NAME\" or \"user\"", cmp.Or(f.Key, "auto"))
	}
	if f.Per < 0 {
		return errors.New("flow.per: must not be negative")
	}
	f.Per = cmp.Or(f.Per, Duration(10*time.Minute))
	f.Excess = cmp.Or(f.Excess, Refuse)
	if f.Excess != Refuse && f.Excess != Evict {
		return fmt.Errorf("flow.excess: is %q, want refuse or evict", f.Excess)
	}
	return nil
}

// gate is what the gate is told. The instances' workers are one lot for it; which
// instance a request goes to is the pool's choice.
func (c *Config) gate() admission.Config {
	g := admission.Defaults(c.workers())
	g.Lanes = c.Lanes == On
	g.Size, g.LongSize = c.Queue.Size, c.Queue.LongSize
	g.Timeout, g.LongTimeout = time.Duration(c.Queue.Timeout), time.Duration(c.Queue.LongTimeout)
	g.Reserve = *c.Reserve
	g.FlowLimit = min(c.Flow.Limit, g.Workers)
	a := &c.Admission
	g.LongAfter, g.StallAfter, g.WaitTarget = time.Duration(a.LongAfter), time.Duration(a.StallAfter), time.Duration(a.WaitTarget)
	g.Unknown, g.LongMin = a.Unknown, *a.LongMin
	g.FlowRate, g.FlowBurst, g.SpentLimit = a.FlowRate, a.FlowBurst, min(a.SpentLimit, g.FlowLimit)
	return g
}
