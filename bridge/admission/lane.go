package admission

import "time"

// Lane is what a request is taken for.
type Lane uint8

// The lanes. Requests of all but Long may turn out to be long; they are then,
// whatever their lane, counted as such.
const (
	Short   Lane = iota // its route's requests are short
	Unknown             // nothing is known of its route
	Mixed               // its route is short as a rule, and holds workers for long just now
	Long                // declared, or learned
	lanes
)

var laneNames = [lanes]string{"short", "unknown", "mixed", "long"}

func (l Lane) String() string { return laneNames[l] }

// MarshalText writes l as String does.
func (l Lane) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// class is who shares a queue. Requests of unknown routes are nearly always short
// ones, and wait with them.
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

// laneOf says what e is taken for now.
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
		return Mixed // for all that is known
	}
	e.newRoute = true
	if !r.known() && r.group.nearlyAllShort(now) {
		e.record = r.group
		return Short
	}
	return Unknown
}
