package supervise

import (
	"slices"
	"time"

	"github.com/dustin/go-humanize"
)

// roomInterval is how often an instance without a child checks whether there is memory for one.
const roomInterval = 5 * time.Second

// memoryState is what is known of the memory of all children.
type memoryState struct {
	sampling     query[memorySample]
	next         time.Time // when the next sample is taken
	total        uint64    // of all children, in the last sample
	typical      uint64    // of the largest child that was ready, in the last sample with one
	settledAt    time.Time // no child is killed for the total before
	noRoomLogged time.Time // when it was logged last that there is no memory
}

// memorySample is what all children use at a time.
type memorySample struct {
	children []childMemory
	total    uint64
	known    bool // total is
}

// childMemory is what a child uses. It is kept by instance.
type childMemory struct {
	child    process
	used     uint64 // bytes; 0: not known yet
	known    bool   // used is of this sample
	oomKills uint64 // see process.OOMKills
}

// enforceMemory takes samples, and checks them.
func (sup *supervisor) enforceMemory(now time.Time) {
	mem := &sup.memory
	if !sup.plan.Memory.limited() {
		return
	}
	if s, ok := mem.sampling.take(); ok {
		sup.noteMemory(s)
		sup.checkMemory(now)
	}
	if !now.Before(mem.next) && !mem.sampling.isPending() {
		mem.next = now.Add(checkInterval)
		mem.sampling = sup.sampleMemory()
	}
	if now.Before(mem.next) {
		sup.wakeAt(mem.next) // else the sample that is being taken wakes the supervisor
	}
}

// sampleMemory has a task take a sample, which may take a while.
func (sup *supervisor) sampleMemory() query[memorySample] {
	var s memorySample
	for _, in := range sup.instances {
		if in.child != nil && in.launched {
			s.children = append(s.children, childMemory{child: in.child})
		}
	}
	return startQuery(sup, func() memorySample {
		for i := range s.children {
			c := &s.children[i]
			c.used, c.known = c.child.Memory()
			c.oomKills = c.child.OOMKills()
		}
		s.total, s.known = sup.program.memory()
		return s
	})
}

// noteMemory takes note of a sample. Children that have ended meanwhile do not count.
func (sup *supervisor) noteMemory(s memorySample) {
	if s.known {
		sup.memory.total = s.total
	}
	for _, in := range sup.instances {
		for _, c := range s.children {
			if in.child != c.child {
				continue
			}
			if !c.known {
				c.used = in.memory.used
			}
			in.memory = c
		}
	}
}

// checkMemory replaces and kills children that use too much, by a new sample.
func (sup *supervisor) checkMemory(now time.Time) {
	limits, largest, typical := &sup.plan.Memory, (*instance)(nil), uint64(0)
	for _, in := range sup.instances {
		used := in.memory.used
		if in.child == nil || used == 0 {
			continue
		}
		if m := in.machine.state; m == stateServing || m == stateReady || m == stateDraining {
			typical = max(typical, used)
		}
		if largest == nil || used > largest.memory.used {
			largest = in
		}
		switch {
		case in.memory.oomKills > 0:
			sup.killForMemory(in, oomKilled) // perhaps the rest of the group goes on
		case limits.Hard > 0 && used > limits.Hard:
			sup.killForMemory(in, overHardLimit)
		case limits.Soft > 0 && used > limits.Soft && in.machine.state.takesRequests() && in.replaceReason == "":
			// A single peak does not count, however often the memory cannot be read after it.
			if in.memory.known {
				in.overSoft++
			}
			if in.overSoft > 1 {
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
	if limits.Total > 0 && sup.memory.total > limits.Total && largest != nil && !dying && !now.Before(sup.memory.settledAt) {
		sup.killForMemory(largest, overTotalLimit) // one at a time may be enough
	}
}

func (sup *supervisor) killForMemory(in *instance, why Cause) {
	if in.ends() {
		return
	}
	sup.log.Error("a process uses too much memory; it is killed", "instance", in.socket.Addr, "pid", in.child.PID(),
		"used", humanize.IBytes(in.memory.used), "because", string(why), "memory_hard", humanize.IBytes(sup.plan.Memory.Hard),
		"memory_total", humanize.IBytes(sup.plan.Memory.Total), "advice", "see which requests need that much; raise the limit if they may")
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
			need += max(each, in.memory.used, 1) // a new child will grow to that
		}
	}
	if need == 0 || need+each <= total {
		return true
	}
	if now := time.Now(); mem.noRoomLogged.IsZero() || now.Sub(mem.noRoomLogged) >= time.Minute {
		mem.noRoomLogged = now
		sup.log.Warn("there is no memory for one more process", "advice", "raise spawn.memory_total (--command-memory-total), or have fewer instances", "used", humanize.IBytes(need),
			"needed", humanize.IBytes(each), "memory_total", humanize.IBytes(total))
	}
	return false
}
