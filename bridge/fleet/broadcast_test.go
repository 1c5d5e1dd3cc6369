package fleet

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// heard is what a gate was told.
type heard struct {
	*Broadcast
	mu  sync.Mutex
	all []string
}

func newHeard(t *testing.T, engine string) *heard {
	t.Helper()
	h := new(heard)
	var err error
	h.Broadcast, err = NewBroadcast(engine, "app", 1<<10, func(body []byte) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all = append(h.all, string(body))
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func (h *heard) await(t *testing.T, want string) {
	t.Helper()
	got := ""
	for range 1000 {
		h.mu.Lock()
		got = fmt.Sprint(h.all)
		h.mu.Unlock()
		if got == want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("heard %s, want %s", got, want)
}

// Every other gate hears what one sends, once, in order; also what was sent while the engine was away for
// it, and after the engine has lost everything and its clock was set back.
func TestBroadcast(t *testing.T) {
	engine := miniredis.RunT(t)
	engine.SetTime(time.Unix(2_000_000_000, 0))
	one, two := newHeard(t, "redis://"+engine.Addr()), newHeard(t, "redis://"+engine.Addr())
	send := func(b *heard, body string) {
		t.Helper()
		if err := b.Send(t.Context(), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	send(one, "before") // nobody listens yet
	one.Start()
	two.Start()
	time.Sleep(100 * time.Millisecond)
	send(one, "a")
	send(one, "b")
	send(two, "c")
	two.await(t, "[a b]")
	one.await(t, "[c]")

	engine.SetError("LOADING not now")
	time.Sleep(3 * broadcastPause)
	if err := one.Send(t.Context(), []byte("lost")); err == nil {
		t.Error("no error, and the engine is away")
	}
	engine.SetError("")
	send(one, "d")
	two.await(t, "[a b d]")

	engine.SetError("LOADING not now")
	engine.FlushAll()
	engine.SetTime(time.Unix(1_000_000_000, 0))
	time.Sleep(2*broadcastWait + 2*broadcastPause) // the gates have noticed
	engine.SetError("")
	send(two, "e")
	one.await(t, "[c e]")
}

// An engine that talks nonsense is one that cannot be reached.
func TestBroadcastOfNonsense(t *testing.T) {
	for _, answer := range []string{"$9223372036854775800\r\n", "*1\r\n*2\r\n$9223372036854775800\r\n"} {
		h := newHeard(t, startNonsense(t, answer, true))
		if err := h.Send(t.Context(), []byte("a")); err == nil {
			t.Errorf("%q: is taken for sent", answer)
		}
		at := ""
		if _, err := h.next(t.Context(), &at, false); err == nil {
			t.Errorf("%q: there are no messages", answer)
		}
		at = "0-0"
		if _, err := h.next(t.Context(), &at, false); err == nil {
			t.Errorf("%q: there are no messages after %s", answer, at)
		}
	}
}

// An engine that says at once that there is nothing is not asked again at once.
func TestBroadcastPauses(t *testing.T) {
	url, asked := startCounted(t, "*0\r\n", true)
	h := newHeard(t, url)
	h.Start()
	time.Sleep(3 * broadcastPause)
	if n := asked.Load(); n < 2 || n > 12 {
		t.Errorf("asked %d times within %v", n, 3*broadcastPause)
	}
}

// Messages that are too large together come one by one. One that is too large alone is lost, and the next is
// not.
func TestBroadcastOfLargeMessages(t *testing.T) {
	engine := miniredis.RunT(t)
	one, two := newHeard(t, "redis://"+engine.Addr()), newHeard(t, "redis://"+engine.Addr())
	send := func(size int) {
		t.Helper()
		if err := one.Send(t.Context(), make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		send(20 << 10)
	}
	at := "0-0"
	for range 6 {
		if _, err := two.next(t.Context(), &at, false); err != nil {
			t.Fatal(err)
		}
	}
	if len(two.all) != 5 {
		t.Fatalf("%d of 5 messages", len(two.all))
	}
	two.all = nil
	send(100 << 10)
	for range 2 {
		if _, err := two.next(t.Context(), &at, false); err != nil || len(two.all) > 0 {
			t.Fatalf("%d messages, %v", len(two.all), err)
		}
	}
	two.Start()
	time.Sleep(2 * broadcastPause)
	send(1)
	two.await(t, "[\x00]")
}
