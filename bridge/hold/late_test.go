package hold

import (
	"testing"
	"testing/synctest"
	"time"
)

// An item that comes long after the one behind it is not the last: whoever knows the last one is held, and not
// asked for again and again.
func TestItemThatIsFarTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Limits{Holds: 4, Client: 4, Channel: 4, Channels: 4, Message: 100, Backlog: 100, Recovers: 4})
		defer r.Close()
		site := r.Site()
		held := func(prev string) *Hold {
			h, err := site.Hold(&Instruct{Mode: Stream, Recovers: true, Subscriptions: []Subscription{{Channel: "a", PrevID: prev}}}, Who{}, &client{})
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		want := func(h *Hold, body string, end End) {
			t.Helper()
			m, got := h.Take()
			if (m == nil) != (body == "") || m != nil && string(m.Body) != body || got != end {
				t.Errorf("%v, %v, want %q, %v", m, got, body, end)
			}
		}
		publish := func(id, prev string) {
			r.Publish(&Item{Channel: "a", ID: id, PrevID: prev, Stream: &Message{Body: []byte(id)}})
			time.Sleep(2 * reorder)
		}
		publish("1", "0")
		behind := held("1")
		publish("3", "2")
		want(behind, "", Recover)
		behind.Leave()
		knows := held("3")
		publish("2", "1")
		want(knows, "", Recover) // perhaps it was held without an id first, and has not seen this one
		knows.Leave()
		comes := held("3")
		want(comes, "", None)
		publish("4", "3")
		want(comes, "4", None)
		if n := r.Snapshot().Late; n != 2 {
			t.Errorf("%d are late", n)
		}
		site.Drain()
	})
}
