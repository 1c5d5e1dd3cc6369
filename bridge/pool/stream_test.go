package pool

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// The id of a request that is given back before its answer is not used again on its
// connection, and the application is asked to stop. That of one that was answered is.
func TestReleasedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := muxPool(t, fcgitest.Start(t, fcgitest.MuxAfter(time.Second, fcgitest.Page)), 4)
		given, answered := leaseFor(t, p, whole), leaseFor(t, p, whole)
		m := given.c.mux
		ask(t, given, "/given")
		ask(t, answered, "/answered")
		synctest.Wait()
		s := given.ch.(*stream)
		given.Release()
		if _, err := answer(answered); err != nil {
			t.Error(err)
		}
		answered.Release()
		m.mu.Lock()
		defer m.mu.Unlock()
		if !s.aborted || !m.ids.bad(given.id) || m.ids.bad(answered.id) || len(m.ids.free) != 1 || m.ids.free[0] != answered.id {
			t.Errorf("aborted %v; of ids %d (given up) and %d (answered) %v are free and %v are not used again",
				s.aborted, given.id, answered.id, m.ids.free, m.ids.quarantined)
		}
	})
}
