package fleet

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// What a gate tells of its clients in one report, at most.
const (
	MaxCounts    = 80
	MaxSightings = 32
)

// Key is the key that clients' names are made with, the same at all gates.
type Key [16]byte

// Clients are the clients of a gate, by names that are keyed hashes. Its methods are called by one
// goroutine, and must not take long.
type Clients interface {
	// SetKey is told by which key clients are named from now on.
	SetKey(Key)
	// Report returns what is to be told: no more than MaxCounts and MaxSightings.
	Report() ([]Count, []Sighting)
	// Learn is told what has come of the last Report, in its order, and until when it is true. It is not
	// called if there was no answer, or if the names were made with another key.
	Learn(counted []Counted, barred []time.Duration, until time.Time)
}

// Count is what a client uses at this gate.
type Count struct {
	Name uint64
	// Used is what it has used since the last report, in time of workers or of whatever else: it owes that.
	// Less than 0: what was said before is taken back. Of what it owes, which is never more than Most,
	// Forgiven is forgiven in each second.
	Used, Most time.Duration
	Forgiven   float64 // seconds
	Fast, Slow int     // its short and its slow requests in flight
	Waits      bool    // it has more that wait
}

// Counted is what is known of a client at all gates.
type Counted struct {
	Known      bool          // false: there are too many clients, and this one is not counted
	Owes       time.Duration // at all gates together
	Fast, Slow int           // its requests in flight at the others
	Gates      int           // the others where it has requests
	Rank       int           // how many of these come before this gate, in an order that is the same for all
	Waits      bool          // it has requests that wait at others
}

// Sighting is an address from which a client key is used, both by their names. No more than Most may be
// within Per. Evict says that a further one takes the place of that which was seen longest ago, else it is
// barred.
type Sighting struct {
	Name, Address uint64
	Most          int
	Per           time.Duration
	Evict         bool
}

// ClientReport is the part of a Report that is about clients.
type ClientReport struct {
	Key       Key
	Age       time.Duration // how long Key has been this gate's; less than 0: the ledger has never confirmed it
	Counts    []Count
	Sightings []Sighting
}

// ClientGrant is the part of a Grant that is about clients.
type ClientGrant struct {
	Key     Key
	Counted []Counted       // as Counts
	Barred  []time.Duration // as Sightings: for how long the address may not use the key, 0 if it may
	Failed  string          // why the ledger has counted nothing
}

// maxText is the largest answer about clients that is read: a number in it has 13 digits at most.
const maxText = MaxCounts * 6 * 14

// arguments returns what the script is told.
func (r *ClientReport) arguments() []any {
	if r == nil {
		return []any{"", 0, "", ""}
	}
	var counts, sightings strings.Builder
	for _, c := range r.Counts {
		waits := 0
		if c.Waits {
			waits = 1
		}
		fmt.Fprintf(&counts, "%016x %d %s %d %d %d %d;", c.Name, c.Used.Milliseconds(), strconv.FormatFloat(c.Forgiven, 'f', -1, 64), c.Most.Milliseconds(), c.Fast, c.Slow, waits)
	}
	for _, s := range r.Sightings {
		evict := 0
		if s.Evict {
			evict = 1
		}
		fmt.Fprintf(&sightings, "%016x %016x %d %d %d;", s.Name, s.Address, s.Most, s.Per.Milliseconds(), evict)
	}
	return []any{hex.EncodeToString(r.Key[:]), int(math.Floor(r.Age.Seconds())), counts.String(), sightings.String()}
}

// parse reads what the script has answered to r.
func (r *ClientReport) parse(key, counts, waits, failed string) (*ClientGrant, error) {
	switch {
	case r == nil, key == "" && failed == "": // nothing was said
		return nil, nil
	case key == "":
		return &ClientGrant{Failed: failed}, nil
	}
	g := new(ClientGrant)
	if n, err := hex.Decode(g.Key[:], []byte(key[:min(len(key), 2*len(g.Key))])); err != nil || n != len(g.Key) || len(key) != 2*n {
		return nil, errAnswer
	}
	if len(counts) > maxText || len(waits) > maxText {
		return nil, errAnswer
	}
	for item := range strings.SplitSeq(counts, ";") {
		if item == "" {
			continue
		}
		if item == "-" {
			g.Counted = append(g.Counted, Counted{})
			continue
		}
		n, ok := numbers(item)
		if !ok || len(n) != 6 {
			return nil, errAnswer
		}
		for i := range n[1:] {
			n[1+i] = min(n[1+i], 1<<30)
		}
		g.Counted = append(g.Counted, Counted{true, time.Duration(n[0]) * time.Millisecond, int(n[1]), int(n[2]), int(n[3]), int(n[4]), n[5] != 0})
	}
	for item := range strings.SplitSeq(waits, ";") {
		if item == "" {
			continue
		}
		n, ok := numbers(item)
		if !ok || len(n) != 1 {
			return nil, errAnswer
		}
		g.Barred = append(g.Barred, time.Duration(n[0])*time.Millisecond)
	}

	if len(g.Counted) != len(r.Counts) || len(g.Barred) != len(r.Sightings) {
		return nil, errAnswer
	}
	return g, nil
}

// numbers reads numbers that are not negative, and fit into durations of milliseconds.
func numbers(text string) (list []int64, ok bool) {
	for word := range strings.FieldsSeq(text) {
		n, err := strconv.ParseUint(word, 10, 42)
		if err != nil {
			return nil, false
		}
		list = append(list, int64(n))
	}
	return list, true
}
