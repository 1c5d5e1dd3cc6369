package supervise

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
)

// roomInterval is how often an instance without a child checks whether there is memory for one.
const roomInterval = 5 * time.Second

// memoryState is what is known of the memory of all children.
type memoryState struct {
	total        atomic.Uint64 // of all children; of the last sample
	sampled      atomic.Int64  // number of samples
	running      atomic.Bool   // a sample is being taken
	seen         int64         // number of samples that were checked
	next         time.Time     // when the next sample is taken
	typical      uint64        // of the largest child that was ready, in the last sample with one
	settledAt    time.Time     // no child is killed for the total before
	noRoomLogged time.Time     // when it was logged last that there is no memory
}

// memorySample is what is known of the memory of a child.
type memorySample struct {
	used     atomic.Uint64 // in bytes; 0: not known yet
	oomKills atomic.Uint64 // see process.OOMKills
}

// enforceMemory takes samples, and checks them.
func (sup *supervisor) enforceMemory(now time.Time) {
	mem := &sup.memory
	if !sup.plan.Memory.limited() {
		return
	}
	if n := mem.sampled.Load(); n != mem.seen {
		mem.seen = n
		sup.checkMemory(now)
	}
	if !now.Before(mem.next) && !mem.running.Load() {
		mem.next = now.Add(checkInterval)
		sup.sampleMemory()
	}
	if now.Before(mem.next) {
		sup.wakeAt(mem.next) // or when this sample is taken
	}
}

// sampleMemory has a task take a sample, which may take a while.
func (sup *supervisor) sampleMemory() {
	type subject struct {
		child  process
		memory *memorySample
	}
	var all []subject
	for _, in := range sup.instances {
		if in.child != nil && in.launched {
			all = append(all, subject{in.child, in.memory})
		}
	}
	mem := &sup.memory
	mem.running.Store(true)
	sup.tasks.Go(func() {
		for _, s := range all {
			if used, known := s.child.Memory(); known {
				s.memory.used.Store(used)
			}
			s.memory.oomKills.Store(s.child.OOMKills())
		}
		if used, known := sup.program.memory(); known {
			mem.total.Store(used)
		}
		mem.sampled.Add(1)
		mem.running.Store(false)
		sup.wake()
	})
}

// checkMemory replaces and kills children that use too much, by a new sample.
func (sup *supervisor) checkMemory(now time.Time) {
	limits, largest, typical := &sup.plan.Memory, (*instance)(nil), uint64(0)
	for _, in := range sup.instances {
		used := in.memory.used.Load()
		if in.child == nil || used == 0 {
			continue
		}
		if m := in.machine.state; m == stateServing || m == stateReady || m == stateDraining {
			typical = max(typical, used)
		}
		if largest == nil || used > largest.memory.used.Load() {
			largest = in
		}
		switch {
		case in.memory.oomKills.Load() > 0:
			sup.killForMemory(in, oomKilled) // perhaps the rest of the group goes on
		case limits.Hard > 0 && used > limits.Hard:
			sup.killForMemory(in, overHardLimit)
		case limits.Soft > 0 && used > limits.Soft && in.machine.state.takesRequests() && in.replaceReason == "":
			// A single peak does not count.
			if in.overSoft++; in.overSoft > 1 {
				sup.markForReplacement(in, overSoftLimit)
			}
		default:
			in.overSoft = 0
		}
	}
	if typical > 0 {
		sup.memory.typical = typical
	}
	dying := slices.ContainsFunc(sup.instances, func(in *instance) bool { return in.child != nil && in.cause != "" })
	if limits.Total > 0 && sup.memory.total.Load() > limits.Total && largest != nil && !dying && !now.Before(sup.memory.settledAt) {
		sup.killForMemory(largest, overTotalLimit) // one at a time may be enough
	}
}

func (sup *supervisor) killForMemory(in *instance, why Cause) {
	if in.ends() {
		return
	}
	sup.log.Error("a process uses too much memory; it is killed", "instance", in.socket.Addr, "pid", in.child.PID(),
		"used", humanize.IBytes(in.memory.used.Load()), "because", string(why), "memory_hard", humanize.IBytes(sup.plan.Memory.Hard),
		"memory_total", humanize.IBytes(sup.plan.Memory.Total))
	sup.kill(in, why, process.Kill)
}

// hasRoom reports whether there is memory for one more child. If none runs, one is always
// started.
func (sup *supervisor) hasRoom() bool {
	mem, total := &sup.memory, sup.plan.Memory.Total
	if total == 0 || len(sup.instances) == 0 {
		return true
	}
	each := mem.typical
	if hard := sup.plan.Memory.Hard; hard > 0 {
		each = min(each, hard)
	}
	need := uint64(0)
	for _, in := range sup.instances {
		if in.child != nil {
			need += max(each, in.memory.used.Load(), 1) // a new child will grow to that
		}
	}
	if need == 0 || need+each <= total {
		return true
	}
	if now := time.Now(); mem.noRoomLogged.IsZero() || now.Sub(mem.noRoomLogged) >= time.Minute {
		mem.noRoomLogged = now
		sup.log.Warn("there is no memory for one more process", "used", humanize.IBytes(need),
			"needed", humanize.IBytes(each), "memory_total", humanize.IBytes(total))
	}
	return false
}
