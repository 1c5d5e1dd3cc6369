package supervise

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
)

// roomEvery is how often it is looked whether there is memory for a process now.
const roomEvery = 5 * time.Second

// pressure is what is known of the memory that children use.
type pressure struct {
	total   atomic.Uint64 // of all; of the last sample
	sampled atomic.Int64  // how many samples there were
	running atomic.Bool   // one is being taken
	seen    int64         // samples that were looked at
	next    time.Time     // when the next is taken
	typical uint64        // what the largest child that has begun used, at the last sample with one
	settled time.Time     // nobody is killed for what all use together until then
	denied  time.Time     // when the log was told last that there is no room
}

// memory is what is known of a child's.
type memory struct {
	used    atomic.Uint64 // in bytes; 0: not known yet
	starved atomic.Uint64 // times that the kernel has killed something of it for want of it
}

// press takes samples, and deals with children that use too much.
func (k *keeper) press(now time.Time) {
	p := &k.pressure
	if !k.plan.Memory.limited() {
		return
	}
	if n := p.sampled.Load(); n != p.seen {
		p.seen = n
		k.weigh(now)
	}
	if !now.Before(p.next) && !p.running.Load() {
		p.next = now.Add(lookEvery)
		k.sample()
	}
	if now.Before(p.next) {
		k.at(p.next) // or when this one is done
	}
}

// sample has the memory of all children looked at, which may take a while.
func (k *keeper) sample() {
	type subject struct {
		child  process
		memory *memory
	}
	var all []subject
	for _, s := range k.slots {
		if s.child != nil && s.launched {
			all = append(all, subject{s.child, s.memory})
		}
	}
	p := &k.pressure
	p.running.Store(true)
	k.tasks.Go(func() {
		for _, s := range all {
			if used, known := s.child.memory(); known {
				s.memory.used.Store(used)
			}
			s.memory.starved.Store(s.child.starved())
		}
		if used, known := k.program.memory(); known {
			p.total.Store(used)
		}
		p.sampled.Add(1)
		p.running.Store(false)
		k.nudge()
	})
}

// weigh looks at a new sample.
func (k *keeper) weigh(now time.Time) {
	limits, largest, typical := &k.plan.Memory, (*slot)(nil), uint64(0)
	for _, s := range k.slots {
		used := s.memory.used.Load()
		if s.child == nil || used == 0 {
			continue
		}
		if m := s.machine.state; m == Serving || m == Ready || m == Draining {
			typical = max(typical, used)
		}
		if largest == nil || used > largest.memory.used.Load() {
			largest = s
		}
		switch {
		case s.memory.starved.Load() > 0:
			k.killLarge(s, kernelKilled) // perhaps it goes on without a worker
		case limits.Hard > 0 && used > limits.Hard:
			k.killLarge(s, tooLarge)
		case limits.Soft > 0 && used > limits.Soft && s.machine.state.works() && s.outdated == "":
			// A moment's peak is none of its fault.
			if s.over++; s.over > 1 {
				k.outdate(s, usesMuch)
			}
		default:
			s.over = 0
		}
	}
	if typical > 0 {
		k.pressure.typical = typical
	}
	dying := slices.ContainsFunc(k.slots, func(s *slot) bool { return s.child != nil && s.cause != "" })
	if limits.Total > 0 && k.pressure.total.Load() > limits.Total && largest != nil && !dying && !now.Before(k.pressure.settled) {
		k.killLarge(largest, groupLarge) // one at a time: that may be enough
	}
}

func (k *keeper) killLarge(s *slot, why cause) {
	if s.ends() {
		return
	}
	k.log.Error("a process uses too much memory; it is killed", "instance", s.socket.addr, "pid", s.child.pid(),
		"used", humanize.IBytes(s.memory.used.Load()), "because", string(why), "memory_hard", humanize.IBytes(k.plan.Memory.Hard),
		"memory_total", humanize.IBytes(k.plan.Memory.Total))
	k.kill(s, why, process.kill)
}

// hasRoom reports whether there is memory for one more child. The first is always tried.
func (k *keeper) hasRoom() bool {
	p, total := &k.pressure, k.plan.Memory.Total
	if total == 0 || len(k.slots) == 0 {
		return true
	}
	each := p.typical
	if hard := k.plan.Memory.Hard; hard > 0 {
		each = min(each, hard)
	}
	need := uint64(0)
	for _, s := range k.slots {
		if s.child != nil {
			need += max(each, s.memory.used.Load(), 1) // it will come to that
		}
	}
	if need == 0 || need+each <= total {
		return true
	}
	if now := time.Now(); p.denied.IsZero() || now.Sub(p.denied) >= time.Minute {
		p.denied = now
		k.log.Warn("there is no memory for one more process", "used", humanize.IBytes(need),
			"needed", humanize.IBytes(each), "memory_total", humanize.IBytes(total))
	}
	return false
}
