package hold

import "testing"

// A silent stream is asked for again and again: that is not in vain, for it has missed nothing. One whose
// application never learns what it has missed is given up.
func TestAskIsNotInVain(t *testing.T) {
	r := New(Limits{Holds: 4, Client: 4, Channel: 4, Channels: 4, Message: 100, Backlog: 100, Recovers: 4})
	site := r.Site()
	again := func(prev string, times int) *Hold {
		h, err := site.Hold(&Instruct{Mode: Stream, Recovers: true, Recovered: times, Subscriptions: []Subscription{{Channel: "a", PrevID: prev}}}, Who{}, &client{})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	times := 0
	for range 3 * recoveredMost {
		h := again("", times)
		h.Ask()
		if _, end := h.Take(); end != Recover {
			t.Fatalf("after %d times: %v", times, end)
		}
		times = h.InVain() + 1
		h.Leave()
	}
	r.Publish(&Item{Channel: "a", ID: "1", Stream: &Message{}})
	r.Publish(&Item{Channel: "a", ID: "2", Stream: &Message{}})
	n := 0
	for times = 0; ; n++ {
		h := again("1", times)
		_, end := h.Take()
		times = h.InVain() + 1
		h.Leave()
		if end == Missed {
			break
		}
	}
	if n != recoveredMost {
		t.Errorf("given up after %d times", n)
	}
}
