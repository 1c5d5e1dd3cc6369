package connlimit

import (
	"net/http"
	"testing"
	"testing/synctest"
)

// Sockets come and go: what was accepted at one that is gone is served, others go on, and so does Max.
func TestSocketsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Max: 1, MaxWaiting: 4})
		other := newDoor()
		remove := b.ln.(*Listener).Add(other)
		first, waits := newConn(good), newConn(hog)
		other.comes <- first
		synctest.Wait()
		b.want("the first", first, true, false)
		b.l.Track(first, http.StateActive)
		other.comes <- waits
		synctest.Wait()
		b.want("who waits", waits, false, false)
		if err := remove(); err != nil {
			t.Error(err)
		}
		b.want("who waits, when the socket is gone", waits, false, false)
		b.l.SetMax(2, 4)
		b.want("who has waited", waits, true, false)
		b.l.SetMax(3, 4)
		b.want("one of the other socket", b.come("192.0.2.5"), true, false)
		if n := len(b.ln.(*Listener).sources); n != 1 {
			t.Errorf("there are %d sockets, want 1", n)
		}
	})
}
