package admission

import (
	"fmt"
	"time"
)

// Config is what a Gate goes by. Every value is meant as it stands; Defaults has
// the ones to start from. W stands for Workers.
type Config struct {
	Workers int // slots: requests that the application can hold at once; at least 1
	// Lanes tells slow requests from fast ones. False: one first-in-first-out queue
	// for all slots, bounded by Size and Timeout; nothing below Timeout counts then.
	Lanes   bool
	Size    int           // short requests that may wait; a quarter of them of one client
	Timeout time.Duration // how long one of them may wait

	LongSize    int           // long and mixed requests that may wait, and as many unknown ones
	LongTimeout time.Duration // how long one of them may wait
	LongAfter   time.Duration // a request in flight for longer is a long one
	Reserve     int           // slots in which no long request starts; less than W
	LongMin     int           // slots that long requests have even under full load
	Unknown     int           // requests of unknown routes that may be in flight together
	WaitTarget  time.Duration // a wait that 1 % of the short requests may exceed because of long ones; twice their mean time if that is more
	StallAfter  time.Duration // short requests in flight and none finished for so long are a stall; 20 times their mean time if that is more

	ClientLimit int     // short requests a client may have in flight, and long ones as many again
	SpentLimit  int     // the same for short ones while the client's budget is spent
	ClientRate  float64 // a client's budget: worker-seconds per second
	ClientBurst float64 // worker-seconds it may save up

	Routes  int // routes remembered
	Clients int // clients remembered that have nothing in the gate

	// Capacity is what the application is believed to hold now. It is asked at every
	// tick and by Configure, under the gate's mutex; the gate uses 1 to Workers of it.
	// Nil: Workers.
	Capacity func() int
	// Clock is where time comes from. Nil: the system's.
	Clock Clock
	// OnStall is told of the begin and of the end of a stall, one after the other and
	// not under the gate's mutex. It must not call the gate. Nil: nobody is told.
	OnStall func(Stall)
}

// Defaults returns what serves an application with so many workers. Where the
// numbers come from is in docs/admission.md.
func Defaults(workers int) Config {
	w := max(workers, 1)
	c := Config{
		Workers: workers, Lanes: true,
		Size: 256, Timeout: 3 * time.Second,
		LongSize: 10000, LongTimeout: 20 * time.Second, LongAfter: time.Second,
		Reserve: max(2, (w+3)/4), LongMin: 1, Unknown: max(1, w/2),
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
	if c.Size < 0 || c.Timeout <= 0 {
		return fmt.Errorf("admission: size %d, timeout %v: want at least 0, more than 0", c.Size, c.Timeout)
	}
	if !c.Lanes {
		return nil
	}
	for _, v := range []struct {
		name          string
		value, lo, hi int
	}{
		{"reserve", c.Reserve, 0, c.Workers - 1},
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
		return fmt.Errorf("admission: flow_rate %g, flow_burst %g: want more than 0, and less than 1e9", c.ClientRate, c.ClientBurst)
	}
	return nil
}
