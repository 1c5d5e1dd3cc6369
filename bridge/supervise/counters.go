package supervise

// counters count since the start.
type counters struct {
	started  uint64 // children that have run
	answered uint64 // requests, by children whose processStats are dropped
	exits    map[string]uint64
}

// count counts an exit. planned says that the child was to end.
func (t *counters) count(e *Exit, planned bool) {
	if t.exits == nil {
		t.exits = make(map[string]uint64, len(exitKinds))
	}
	t.exits[e.kind(planned)]++
}

// byKind has the number of each kind, 0 included.
func (t *counters) byKind() map[string]uint64 {
	all := make(map[string]uint64, len(exitKinds))
	for _, kind := range exitKinds {
		all[kind] = t.exits[kind]
	}
	return all
}
