package supervise

// The kinds of ends that children come to.
const (
	exitPlanned    = "planned"     // it was told to, and had nothing left to do
	exitClean      = "clean"       // of its own accord, with status 0, after it had served
	exitExited     = "exited"      // of its own accord otherwise
	exitSignal     = "signal"      // of a signal that was not ours
	exitNotStarted = "not_started" // it could not be
	exitNotReady   = "not_ready"   // it was ended because it was not ready in time
	exitMemory     = "memory"      // it was killed for what it used, by us or by the kernel
	exitHung       = "hung"        // it was ended because it answered nobody, or did not finish
)

var exitKinds = [...]string{exitPlanned, exitClean, exitExited, exitSignal, exitNotStarted, exitNotReady, exitMemory, exitHung}

// tally counts since the start.
type counters struct {
	started  uint64 // children
	answered uint64 // requests, by children whose merit is not looked at any more
	exits    map[string]uint64
}

// note counts an end. planned says that it was wanted.
func (t *counters) count(e *Exit, planned bool) {
	if t.exits == nil {
		t.exits = make(map[string]uint64, len(exitKinds))
	}
	t.exits[e.kind(planned)]++
}

func (t *counters) byKind() map[string]uint64 {
	all := make(map[string]uint64, len(exitKinds))
	for _, kind := range exitKinds {
		all[kind] = t.exits[kind]
	}
	return all
}

func (e *Exit) kind(planned bool) string {
	switch e.Cause {
	case notReady:
		return exitNotReady
	case overHardLimit, overTotalLimit, oomKilled:
		return exitMemory
	case answersNobody, drainTimedOut:
		return exitHung
	}
	switch {
	case planned:
		return exitPlanned
	case e.Err != "":
		return exitNotStarted
	case e.Signal != "":
		return exitSignal
	case e.isClean():
		return exitClean
	}
	return exitExited
}
