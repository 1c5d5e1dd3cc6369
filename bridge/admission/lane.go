package admission

import "time"

// Lane is what the gate takes a request for.
type Lane uint8

// The lanes. A request of any lane but Long may turn out to be long. It keeps its lane then, but
// counts as long.
const (
	Short   Lane = iota // requests of its route are short
	Unknown             // nothing is known of its route
	Mixed               // requests of its route are usually short, but hold workers for long just now
	Long                // declared to be long, or requests of its route are long
	lanes
)

var laneNames = [lanes]string{"short", "unknown", "mixed", "long"}

func (l Lane) String() string { return laneNames[l] }

// MarshalText returns l.String().
func (l Lane) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// class is a set of lanes that share a queue. Unknown requests wait with the short ones, because
// nearly all of them are short.
type class uint8

const (
	fast class = iota
	mixed
	long
	classes
)

func (l Lane) class() class {
	switch l {
	case Mixed:
		return mixed
	case Long:
		return long
	}
	return fast
}

// laneOf classifies e by what is known now. It sets e.record and e.newRoute.
func (g *Gate) laneOf(e *entry, now time.Duration) Lane {
	e.record, e.newRoute = nil, false
	switch {
	case !g.cfg.Lanes:
		return Short
	case e.declared:
		return Long
	}
	r := e.route
	switch {
	case r.known() && r.mostlyLong() && now-r.lastStart < retryLongAfter:
		return Long
	case r.slowNow(now):
		return Mixed
	case r.mostlyShort():
		return Short
	case !r.known() && r.long+r.aged > r.short && (r.aged > 0 || now-r.lastStart < retryUnsureAfter):
		return Mixed // slow, by the few samples there are
	}
	e.newRoute = true
	if !r.known() && r.group.nearlyAllShort(now) {
		e.record = r.group
		return Short
	}
	return Unknown
}
