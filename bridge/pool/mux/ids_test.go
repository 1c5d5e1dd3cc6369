package mux

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// No id is given out twice at the same time, nor after it was quarantined.
func TestIDs(t *testing.T) {
	var s ids
	live := make(map[uint16]bool)
	for n := range 300_000 {
		id, ok := s.take()
		if !ok || id == 0 || live[id] || s.isQuarantined(id) {
			t.Fatalf("id %d, %v, live %v, quarantined %v", id, ok, live[id], s.isQuarantined(id))
		}
		live[id] = true
		if len(live) > 50 {
			for id := range live {
				delete(live, id)
				if n%1000 == 0 {
					s.quarantine(id)
				} else {
					s.put(id)
				}
				break
			}
		}
	}
	for {
		id, ok := s.take()
		if !ok {
			break
		}
		live[id] = true
	}
	if n := len(live) + len(s.quarantined); n != maxID {
		t.Errorf("%d ids are live or quarantined when there are no more, want %d", n, maxID)
	}
}

// The application ends an aborted request at once and sends its output later. That does not
// reach the next request, even if all other ids have been used.
func TestAbortedIDIsNotReused(t *testing.T) {
	onConn(t, 1<<20, fcgitest.MuxAbortTail(2*time.Second), func(t *testing.T, c *Conn, _ *calls) {
		given := open(t, c, "/secret-of-A")
		synctest.Wait()
		given.Abort()
		if _, err := answer(given); err != nil { // END_REQUEST at once
			t.Error(err)
		}
		useUpIDs(c, 7)
		time.Sleep(time.Second)
		next := open(t, c, "/of-B")
		if out, err := answer(next); out != "Content-Type: text/plain\n\nuri=/of-B" {
			t.Errorf("B (id %d) got %q, %v", next.ID, out, err)
		}
	})
}

// useUpIDs does what 65,535 requests do, of which one was answered last.
func useUpIDs(c *Conn, last ...uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids.issued = maxID
	for _, id := range last {
		c.ids.put(id)
	}
}

// A connection that has used up its ids sends nothing with id 0.
func TestNoIDs(t *testing.T) {
	onConn(t, 1<<20, fcgitest.MuxPage, func(t *testing.T, c *Conn, _ *calls) {
		useUpIDs(c)
		s := c.Open()
		if err := s.Send([]byte{1}, time.Time{}); s.ID != 0 || err == nil {
			t.Errorf("a request with id %d is sent, %v", s.ID, err)
		}
		s.Leave(false)
	})
}

// The id of a request that ended before its answer is not used again, and the application
// is asked to stop. The id of a request that was answered is.
func TestIDAfterLeave(t *testing.T) {
	onConn(t, 1<<20, fcgitest.MuxAfter(time.Second, fcgitest.Page), func(t *testing.T, c *Conn, _ *calls) {
		given, answered := open(t, c, "/given"), open(t, c, "/answered")
		synctest.Wait()
		given.Leave(false)
		if _, err := answer(answered); err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if !given.aborted || !c.ids.isQuarantined(given.ID) || c.ids.isQuarantined(answered.ID) || len(c.ids.free) != 1 || c.ids.free[0] != answered.ID {
			t.Errorf("aborted %v; of ids %d (given up) and %d (answered) %v are free and %v are not used again",
				given.aborted, given.ID, answered.ID, c.ids.free, c.ids.quarantined)
		}
	})
}
