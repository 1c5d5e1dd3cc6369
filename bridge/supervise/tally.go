package supervise

// The kinds of ends that children come to.
const (
	endPlanned    = "planned"     // it was told to, and had nothing left to do
	endClean      = "clean"       // of its own accord, with status 0, after it had served
	endExited     = "exited"      // of its own accord otherwise
	endSignal     = "signal"      // of a signal that was not ours
	endNotStarted = "not_started" // it could not be
	endNotReady   = "not_ready"   // it was ended because it was not ready in time
	endMemory     = "memory"      // it was killed for what it used, by us or by the kernel
	endHung       = "hung"        // it was ended because it answered nobody, or did not finish
)

var endKinds = [...]string{endPlanned, endClean, endExited, endSignal, endNotStarted, endNotReady, endMemory, endHung}

// tally counts since the start.
type counters struct {
	started  uint64 // children
	answered uint64 // requests, by children whose merit is not looked at any more
	exits    map[string]uint64
}

// note counts an end. planned says that it was wanted.
func (t *counters) note(e *Exit, planned bool) {
	if t.exits == nil {
		t.exits = make(map[string]uint64, len(endKinds))
	}
	t.exits[e.kind(planned)]++
}

func (t *counters) kinds() map[string]uint64 {
	all := make(map[string]uint64, len(endKinds))
	for _, kind := range endKinds {
		all[kind] = t.exits[kind]
	}
	return all
}

func (e *Exit) kind(planned bool) string {
	switch e.Cause {
	case notReady:
		return endNotReady
	case tooLarge, groupLarge, kernelKilled:
		return endMemory
	case answersNone, drainedLong:
		return endHung
	}
	switch {
	case planned:
		return endPlanned
	case e.Err != "":
		return endNotStarted
	case e.Signal != "":
		return endSignal
	case e.isClean():
		return endClean
	}
	return endExited
}
