package exchange

import (
	"net/http"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/hold"
	"github.com/sluice-proxy/sluice/bridge/hold/grip"
)

// An id in Grip-Last is that which was published, whatever is in it.
func TestLastIDs(t *testing.T) {
	for id, want := range map[string]string{
		"7":                    "a; last-id=7, b; last-id=9",
		`1, c; last-id=2`:      `a; last-id="1, c; last-id=2", b; last-id=9`,
		`say "it" \ <or not`:   `a; last-id="say \"it\" \\ <or not", b; last-id=9`,
		"2026-11-30T10:00:00Z": "a; last-id=2026-11-30T10:00:00Z, b; last-id=9",
	} {
		got := lastIDs([]hold.Subscription{{Channel: "a", PrevID: id}, {Channel: "b", PrevID: "9"}})
		if got != want {
			t.Errorf("%q: %s, want %s", id, got, want)
		}
	}
	in, err := grip.Parse(http.Header{"Grip-Hold": {"stream"}, "Grip-Channel": {"a; prev-id=" + quoted(`x", "\;`)}}, nil, 4)
	if err != nil || in.Wait.Subscriptions[0].PrevID != `x", "\;` {
		t.Errorf("%+v, %v", in, err)
	}
}
