package admission

import (
	"encoding/json"
	"testing"
	"time"
)

func TestZeroTicket(t *testing.T) {
	var none Ticket
	none.Done()
	none.Release()
	none.Streaming()
	none.At("nowhere")
	if none.Valid() || none.Granted() || none.Lane() != Short {
		t.Errorf("valid %v, granted %v, lane %v", none.Valid(), none.Granted(), none.Lane())
	}
}

// TestTicketOfAnEarlierUse: the entry of the ticket is in use for another request by now.
func TestTicketOfAnEarlierUse(t *testing.T) {
	r := newRig(t, 2)
	r.teach(page(0), knownSamples, tick)
	first := r.enter(page(1)).mustRun()
	first.done()
	second := r.enter(page(2)).mustRun()
	if first.ticket.e != second.ticket.e {
		t.Fatal("the place was not used again")
	}
	first.ticket.Done()
	first.ticket.Release()
	first.ticket.Streaming()
	first.ticket.At("elsewhere")
	if !first.ticket.Valid() || first.ticket.Granted() || first.ticket.Lane() != Short {
		t.Errorf("a ticket given back: valid %v, granted %v, lane %v", first.ticket.Valid(), first.ticket.Granted(), first.ticket.Lane())
	}
	if s := r.g.Snapshot(); s.InUse != 1 || s.Long != 0 || second.ticket.e.instance != "" {
		t.Errorf("%d in use, %d long, at %q", s.InUse, s.Long, second.ticket.e.instance)
	}
	second.done()
}

func TestRefusalInWords(t *testing.T) {
	texts := make(map[string]bool)
	for why := range reasons {
		refusal := &Refusal{Reason: why, Lane: Mixed, RetryAfter: time.Second}
		if text := refusal.Error(); text == "" || texts[text] {
			t.Errorf("%v: %q", why, text)
		} else {
			texts[text] = true
		}
	}
	got, err := json.Marshal(Refusal{Predicted, Unknown, time.Second})
	if want := `{"Reason":"predicted","Lane":"unknown","RetryAfter":1000000000}`; err != nil || string(got) != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}
