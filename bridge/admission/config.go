package admission

import (
	"fmt"
	"time"
)

// Config is the configuration of a Gate. No value selects a default; Defaults returns values to
// start from.
type Config struct {
	Workers int // slots: requests that the application can hold at once; at least 1
	// Lanes tells slow requests from fast ones. If it is false, there is one first-in-first-out
	// queue for all slots, bounded by Size and Timeout, and the numbers below Timeout have no
	// effect.
	Lanes   bool
	Size    int           // short requests that may wait; a quarter of them of one client
	Timeout time.Duration // how long a short request may wait

	LongSize    int           // long and mixed requests that may wait, and as many unknown ones
	LongTimeout time.Duration // how long a long or mixed request may wait
	LongAfter   time.Duration // a request in flight for longer counts as long
	Reserve     int           // slots that long requests never take; less than Workers
	MaxUpgraded int           // upgrades that may be in the gate, those that wait included; at most Workers less Reserve
	LongMin     int           // slots that long requests may take even under full load
	Unknown     int           // requests of unknown routes that may be in flight together
	WaitTarget  time.Duration // the longest wait of 99 % of the short requests that long ones may cause; twice their mean time if that is longer
	StallAfter  time.Duration // a stall is suspected when no short request has ended for so long; 20 times their mean time if that is longer

	ClientLimit int     // short requests that a client may have in flight, and as many long ones besides
	SpentLimit  int     // the limit for short requests while the client's budget is spent
	ClientRate  float64 // a client's budget: worker-seconds per second
	ClientBurst float64 // worker-seconds that a client may save

	Routes  int // how many routes the gate remembers
	Clients int // how many clients without a request in the gate it remembers

	// Capacity returns how many requests the application is believed to hold now. The gate calls it
	// at every tick and in Configure, with its mutex held, and uses 1 to Workers. Nil: Workers.
	Capacity func() int
	// Clock is the source of time. Nil: the system's clock.
	Clock Clock
	// OnStall is told of the beginning and of the end of each stall, in order and without the
	// gate's mutex. It must not call the gate. It may be nil.
	OnStall func(Stall)
}

// Defaults returns a Config for an application with that many workers. docs/admission.md says where
// the numbers come from.
func Defaults(workers int) Config {
	w := max(workers, 1)
	c := Config{
		Workers: workers, Lanes: true,
		Size: 256, Timeout: 3 * time.Second,
		LongSize: 10000, LongTimeout: 20 * time.Second, LongAfter: time.Second,
		Reserve: max(2, (w+3)/4), MaxUpgraded: max(1, w/4), LongMin: 1, Unknown: max(1, w/2),
		WaitTarget: 100 * time.Millisecond, StallAfter: time.Second,
		ClientLimit: max(2, w/4), SpentLimit: max(1, w/8), ClientRate: max(1, float64(w)/8), ClientBurst: float64(w) / 2,
		Routes: 4096, Clients: 4096,
	}
	if w <= 4 {
		c.LongMin = 0
	}
	if w < 4 {
		c.Reserve = min(1, w-1)
	}
	return c
}

func (c *Config) check() error {
	if c.Workers < 1 {
		return fmt.Errorf("admission: workers: is %d, want at least 1", c.Workers)
	}
	if c.Size < 0 || c.Size > 1<<30 || c.Timeout <= 0 {
		return fmt.Errorf("admission: size %d, timeout %v: want 0 to %d, more than 0", c.Size, c.Timeout, 1<<30)
	}
	if !c.Lanes {
		return nil
	}
	for _, v := range []struct {
		name          string
		value, lo, hi int
	}{
		{"reserve", c.Reserve, 0, c.Workers - 1},
		{"max_upgraded", c.MaxUpgraded, 1, c.Workers - c.Reserve},
		{"long_min", c.LongMin, 0, c.Workers - c.Reserve},
		{"unknown", c.Unknown, 1, c.Workers},
		{"client limit", c.ClientLimit, 1, c.Workers * 1000},
		{"spent_limit", c.SpentLimit, 1, c.Workers * 1000},
		{"long_size", c.LongSize, 0, 1 << 30},
		{"routes", c.Routes, 16, 1 << 30},
		{"clients", c.Clients, 16, 1 << 30},
	} {
		if v.value < v.lo || v.value > v.hi {
			return fmt.Errorf("admission: %s: is %d, want %d to %d", v.name, v.value, v.lo, v.hi)
		}
	}
	for _, v := range []struct {
		name  string
		value time.Duration
	}{
		{"long_timeout", c.LongTimeout}, {"long_after", c.LongAfter}, {"wait_target", c.WaitTarget}, {"stall_after", c.StallAfter},
	} {
		if v.value <= 0 {
			return fmt.Errorf("admission: %s: is %v, want more than 0", v.name, v.value)
		}
	}
	if !(c.ClientRate > 0 && c.ClientRate < 1e9 && c.ClientBurst > 0 && c.ClientBurst < 1e9) {
		return fmt.Errorf("admission: client_rate %g, client_burst %g: want more than 0, and less than 1e9", c.ClientRate, c.ClientBurst)
	}
	return nil
}
