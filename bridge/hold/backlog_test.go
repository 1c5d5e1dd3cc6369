package hold

import "testing"

// A client that takes nothing is cut, however little there is in each message: also one that is empty is in
// memory.
func TestBacklogOfNothing(t *testing.T) {
	r := New(Limits{Holds: 4, Client: 4, Channel: 4, Channels: 4, Message: 100, Backlog: 64 << 10, Recovers: 4})
	in := &Instruct{Mode: Stream, Subscriptions: []Subscription{{Channel: "a", Filter: VarSubst}}, Vars: map[string]string{"x": ""}}
	h, err := r.Site().Hold(in, Who{}, &client{})
	if err != nil {
		t.Fatal(err)
	}
	for range 100_000 {
		r.Publish(&Item{Channel: "a", Stream: &Message{Body: []byte("%(x)s")}})
	}
	if n := len(h.queue); n > 0 && !h.IsSlow() {
		t.Errorf("%d messages wait", n)
	}
	h.Leave()
}
