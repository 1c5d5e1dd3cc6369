package fleet

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// An engine that was started again with what it had saved some time ago has messages that were heard. They
// are not heard twice, and those that come are heard.
func TestBroadcastFromSaved(t *testing.T) {
	engine := miniredis.RunT(t)
	one, two := newHeard(t, "redis://"+engine.Addr()), newHeard(t, "redis://"+engine.Addr())
	send := func(body string) {
		t.Helper()
		if err := one.Send(t.Context(), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	at := ""
	next := func(away bool) {
		t.Helper()
		if _, err := two.next(t.Context(), &at, away); err != nil {
			t.Fatal(err)
		}
	}
	engine.SetTime(time.Unix(2_000_000_000, 0))
	send("before")
	go func() { time.Sleep(100 * time.Millisecond); _ = one.Send(t.Context(), []byte("a")) }()
	next(false)
	send("b")
	next(false)
	saved, err := engine.Stream(one.key)
	if err != nil {
		t.Fatal(err)
	}
	send("c") // is not saved
	next(false)
	engine.FlushAll()
	for _, m := range saved {
		if _, err := engine.XAdd(one.key, m.ID, m.Values); err != nil {
			t.Fatal(err)
		}
	}
	engine.SetTime(time.Unix(2_000_000_060, 0))
	next(true)
	send("d")
	next(false)
	two.await(t, "[a b c d]")
}
