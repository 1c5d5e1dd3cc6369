package supervise

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// normalize checks the settings of instances, and fills in their defaults.
func (p *plan) normalize() error {
	for _, f := range []struct {
		name  string
		value *int
		least int
	}{
		{"instances", &p.Instances, 1},
		{"max instances", &p.MaxInstances, max(p.Instances, 1)},
		{"workers", &p.Workers, 1},
		{"max requests", &p.MaxRequests, 0},
	} {
		if *f.value < 0 {
			return fmt.Errorf("%s: is %d, must not be negative", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.least
		}
	}
	for _, f := range []struct {
		name     string
		value    *time.Duration
		fallback time.Duration
	}{
		{"start timeout", &p.StartTimeout, time.Minute},
		{"max lifetime", &p.MaxLifetime, 0},
		{"idle shutdown", &p.IdleShutdown, 0},
		{"drain timeout", &p.DrainTimeout, 10 * time.Minute},
		{"max time", &p.MaxTime, 0},
		{"stall kill", &p.StallKill, 0},
		{"quarantine", &p.Quarantine, 0},
	} {
		if *f.value < 0 {
			return fmt.Errorf("%s: is %v, must not be negative", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.fallback
		}
	}
	p.Socket = cmp.Or(p.Socket, SocketStdin)
	if p.Front == nil {
		p.Front = noFront{}
	}
	switch {
	case p.MaxInstances < p.Instances:
		return fmt.Errorf("max instances: is %d, must not be less than the %d instances", p.MaxInstances, p.Instances)
	case p.MaxInstances > 1 && p.hasFixedPort():
		return fmt.Errorf("listening address %q: only one instance can have that port (write port 0, or nothing)", p.Listen)
	case p.DumpSignal != 0 && p.StallKill == 0:
		return errors.New("dump signal: is sent before a process that hangs is ended, which stall kill is for: set that, too")
	}
	return p.Memory.check()
}

// limited reports whether there is a limit.
func (m Memory) limited() bool { return m != Memory{} }
