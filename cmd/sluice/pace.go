package main

import "time"

// pacer has a reload done in slices, between which requests go first. runtime.Gosched would not do on one
// processor: whoever is ready to run comes before events of the network are looked for.
type pacer struct{ since time.Time }

const (
	paceSlice = time.Millisecond
	paceRest  = 50 * time.Microsecond
)

// pause rests if the last time is a slice ago.
func (p *pacer) pause() {
	if time.Since(p.since) < paceSlice {
		return
	}
	time.Sleep(paceRest)
	p.since = time.Now()
}
