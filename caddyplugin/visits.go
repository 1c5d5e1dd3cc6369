package caddyplugin

import "sync/atomic"

// visits counts the requests in an application, and tells when there is none.
type visits struct {
	now     atomic.Int64
	awaited atomic.Bool
	over    chan struct{} // has one if a request was the last since somebody waits
}

func newVisits() *visits { return &visits{over: make(chan struct{}, 1)} }

func (v *visits) enter() { v.now.Add(1) }

func (v *visits) leave() {
	if v.now.Add(-1) > 0 || !v.awaited.Load() {
		return
	}
	select {
	case v.over <- struct{}{}:
	default: // it knows
	}
}

func (v *visits) none() bool { return v.now.Load() == 0 }

// await waits until there is none. One may wait.
func (v *visits) await() {
	v.awaited.Store(true)
	for !v.none() {
		<-v.over
	}
}
