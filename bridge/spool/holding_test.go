package spool

import (
	"testing"
	"testing/synctest"
)

// Close gives nothing back while the disk is still busy with it, and a second
// Close does not return before the first.
func TestCloseWaitsForDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{Buffer: 8})
		b := s.NewBuffer(Owner{}, -1)
		mustWrite(t, b, pattern(100))
		b.mu.Lock()
		b.io++
		b.mu.Unlock()

		atReturn := make(chan Stats, 2)
		for range 2 {
			go func() {
				b.Close()
				atReturn <- held(s)
			}()
			synctest.Wait()
		}
		if len(atReturn) > 0 {
			t.Error("Close returned during disk I/O")
		}
		wantStats(t, s, Stats{Buffers: 1, Disk: 100, Files: 1})

		b.mu.Lock()
		b.io--
		b.changed.Broadcast()
		b.mu.Unlock()
		for range 2 {
			if got := <-atReturn; got != (Stats{}) {
				t.Errorf("in use when Close returned: %+v", got)
			}
		}
	})
}
