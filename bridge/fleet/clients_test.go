package fleet

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

// desk is a gate that reports of its clients when the test says so.
type desk struct {
	t      testing.TB
	engine *engine
	gate   string
	seq    uint64
}

var deskTerms = Terms{Workers: 16, Gates: 3, Term: 5 * time.Second, Settle: time.Second, Forget: time.Minute}

func (d *desk) tell(now time.Time, r ClientReport) ClientGrant {
	d.t.Helper()
	d.seq++
	g := d.engine.renew(d.t, now, deskTerms, Report{Gate: d.gate, Name: d.gate, Seq: d.seq, Mode: Join, Clients: &r})
	if g.Clients == nil || g.Clients.Failed != "" {
		d.t.Fatalf("%+v", g.Clients)
	}
	return *g.Clients
}

func newDesks(t testing.TB, names ...string) (*engine, []*desk) {
	e := newEngine(t)
	var all []*desk
	for _, n := range names {
		all = append(all, &desk{t: t, engine: e, gate: n + "0123456789"})
	}
	return e, all
}

// The first gate makes the key, others learn it. An engine that has lost it has it back from who has it,
// even if a new gate was there before. Of two keys that meet, that which is older counts.
func TestNamesKey(t *testing.T) {
	e, gates := newDesks(t, "a", "b", "c")
	now := time.Unix(1e9, 0)
	tell := func(i int, key byte, age time.Duration, want byte) {
		t.Helper()
		now = now.Add(100 * time.Millisecond)
		if got := gates[i].tell(now, ClientReport{Key: Key{key}, Age: age}); got.Key != (Key{want}) {
			t.Errorf("gate %d has %d for %v, and gets %d, want %d", i, key, age, got.Key[0], want)
		}
	}
	tell(0, 1, -time.Second, 1)
	tell(1, 2, -time.Second, 1)
	tell(1, 1, 0, 1)
	tell(0, 1, 5*time.Second, 1)

	e.restart(nil)
	tell(2, 3, -time.Second, 3)   // a new gate
	tell(0, 1, 10*time.Second, 1) // who has the key of the fleet
	tell(2, 3, 0, 1)
	tell(1, 1, 5*time.Second, 1)

	tell(2, 4, 9*time.Second, 1) // another fleet's
	tell(2, 4, 11*time.Second, 4)
	tell(0, 1, 10*time.Second, 4)
}

// What a gate is told of a client: what all have used, less what is forgiven, and what the others have of it
// now. A gate that is not heard of any more has nothing.
func TestCounts(t *testing.T) {
	_, gates := newDesks(t, "b", "a", "c")
	now := time.Unix(1e9, 0)
	tell := func(i int, c Count, want Counted) {
		t.Helper()
		c.Name, c.Most, c.Forgiven = 7, 8*time.Second, 2
		got := gates[i].tell(now, ClientReport{Counts: []Count{c, {Name: 8, Used: 1, Most: 1, Forgiven: 1e6}}}).Counted
		if want.Known = true; len(got) != 2 || got[0] != want || got[1] != (Counted{Known: true}) {
			t.Errorf("gate %d: %+v, want %+v", i, got, want)
		}
	}
	tell(0, Count{Used: 5 * time.Second, Fast: 2, Slow: 1}, Counted{Owes: 5 * time.Second})
	tell(1, Count{Waits: true}, Counted{Owes: 5 * time.Second, Fast: 2, Slow: 1, Gates: 1, Rank: 0})
	tell(2, Count{Fast: 4}, Counted{Owes: 5 * time.Second, Fast: 2, Slow: 1, Gates: 2, Rank: 2, Waits: true})
	now = now.Add(time.Second)
	tell(0, Count{Used: time.Second, Slow: 1}, Counted{Owes: 4 * time.Second, Fast: 4, Gates: 2, Rank: 1, Waits: true})
	tell(1, Count{}, Counted{Owes: 4 * time.Second, Fast: 4, Slow: 1, Gates: 2, Rank: 0})
	tell(0, Count{Used: -time.Second, Slow: 1}, Counted{Owes: 3 * time.Second, Fast: 4, Gates: 1, Rank: 0})
	tell(0, Count{Used: time.Hour, Slow: 1}, Counted{Owes: 8 * time.Second, Fast: 4, Gates: 1, Rank: 0})
	for range 2 { // the ledger's clock goes on by two seconds at most
		now = now.Add(2 * time.Second)
		gates[1].tell(now, ClientReport{})
	}
	tell(1, Count{}, Counted{})
}

// An address is counted wherever it is seen. What is too much is refused, or takes the place of the oldest.
func TestSightings(t *testing.T) {
	for _, evict := range []bool{false, true} {
		_, gates := newDesks(t, "a", "b")
		now := time.Unix(1e9, 0)
		tell := func(i int, address uint64, want time.Duration) {
			t.Helper()
			now = now.Add(time.Second)
			s := Sighting{Name: 7, Address: address, Most: 2, Per: time.Minute, Evict: evict}
			another := s
			another.Name = 8
			if got := gates[i].tell(now, ClientReport{Sightings: []Sighting{another, s}}).Barred; !reflect.DeepEqual(got, []time.Duration{want, want}) {
				t.Errorf("evict %v: address %d at gate %d: %v, want %v", evict, address, i, got, want)
			}
		}
		tell(0, 1, 0)
		tell(1, 2, 0)
		if evict {
			tell(0, 3, 0)
			tell(0, 1, 59*time.Second) // evicted
			tell(1, 2, 0)
			tell(1, 3, 0)
			continue
		}
		tell(0, 3, 58*time.Second)
		tell(1, 1, 0) // seen again
		tell(0, 3, 57*time.Second)
		for range 30 {
			now = now.Add(2 * time.Second)
			gates[1].tell(now, ClientReport{})
		}
		tell(0, 3, 0)
	}
}

// What an engine keeps of clients is bounded, and forgotten.
func TestClientsAreForgotten(t *testing.T) {
	e, gates := newDesks(t, "a")
	now := time.Unix(1e9, 0)
	keys := func() (n int) {
		for _, k := range e.redis.Keys() {
			if strings.Contains(k, "clients:app:") {
				n++
			}
		}
		return n
	}
	for i := range 400 {
		now = now.Add(2 * time.Second)
		e.redis.FastForward(2 * time.Second)
		gates[0].tell(now, ClientReport{
			Counts:    []Count{{Name: uint64(i), Used: 1, Most: 1, Forgiven: 1}},
			Sightings: []Sighting{{Name: uint64(i), Address: 1, Most: 1, Per: time.Minute}},
		})
		if n := keys(); n > 8 {
			t.Fatalf("%d keys", n)
		}
	}
	e.redis.FastForward(5 * time.Minute)
	if n := keys(); n != 0 {
		t.Errorf("%d keys in the end", n)
	}
}

// An engine whose user may not read what is kept of clients leases workers all the same, and the log says so
// once.
func TestClientsAreNotCounted(t *testing.T) {
	e := newEngine(t)
	e.redis.Server().SetPreHook(func(p *server.Peer, cmd string, args ...string) bool {
		if !strings.EqualFold(cmd, "hmget") {
			return false
		}
		p.WriteError("NOPERM this user has no permissions to run the 'hmget' command")
		return true
	})
	var log bytes.Buffer
	w := &world{t: t, rand: rand.New(rand.NewPCG(1, 1)), now: time.Unix(1e9, 0), engine: e, calm: true, terms: deskTerms}
	w.start(0)
	g := w.gates[0]
	g.m.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	for range 300 {
		g.step()
		w.now = w.now.Add(tick)
	}
	if s := g.m.State(); s.Status != Leased || s.Allowed == 0 || g.clients.learned != nil {
		t.Errorf("%+v, and it has learned %+v", s, g.clients.learned)
	}
	if n := strings.Count(log.String(), "cannot count clients"); n != 1 || !strings.Contains(log.String(), "NOPERM") {
		t.Errorf("the log says so %d times:\n%s", n, &log)
	}
}

// A client report has a bounded size, and so has what is read of the answer.
func TestSizeOfReports(t *testing.T) {
	r := fullReport(rand.New(rand.NewPCG(1, 1)), 1<<40)
	size := 0
	for _, a := range r.arguments() {
		size += len(fmt.Sprint(a))
	}
	if size > 16<<10 {
		t.Errorf("%d bytes", size)
	}
	t.Logf("%d bytes", size)
}

// fullReport tells of as many clients as may be, out of so many.
func fullReport(random *rand.Rand, of uint64) *ClientReport {
	r := new(ClientReport)
	for range MaxCounts {
		r.Counts = append(r.Counts, Count{Name: random.Uint64N(of), Used: 50 * time.Millisecond, Most: 8 * time.Second, Forgiven: 2, Fast: 2, Slow: 1})
	}
	for range MaxSightings {
		r.Sightings = append(r.Sightings, Sighting{Name: random.Uint64N(of), Address: random.Uint64(), Most: 2, Per: 10 * time.Minute})
	}
	return r
}

// BenchmarkRenewal is a renewal of each of some gates in a real engine, at SLUICE_ENGINE: redis://... Each
// gate tells of as many clients as it may, of which all have the same ones.
func BenchmarkRenewal(b *testing.B) {
	url := os.Getenv("SLUICE_ENGINE")
	if url == "" {
		b.Skip("SLUICE_ENGINE is not set")
	}
	for _, n := range []int{2, 8, 100} {
		for _, clients := range []int{0, 8, min(MaxCounts, 1600/n)} { // as package app does
			b.Run(fmt.Sprint(n, " gates, ", clients, " clients"), func(b *testing.B) {
				ledger, err := NewRedis(url, "bench")
				if err != nil {
					b.Fatal(err)
				}
				defer ledger.Close()
				ledger.client.Do(b.Context(), "FLUSHALL")
				random := rand.New(rand.NewPCG(1, 1))
				terms := Terms{Workers: 4 * n, Gates: n, Term: 5 * time.Second, Settle: time.Second, Forget: time.Minute}
				seq, bytes := uint64(0), 0
				renew := func(i int) {
					seq++
					r := Report{Gate: fmt.Sprintf("%08d0123456789", i), Name: fmt.Sprint(i), Seq: seq, Mode: Join, Short: 3, Wanted: 3}
					if clients > 0 {
						r.Clients = fullReport(random, uint64(4*MaxCounts))
						r.Clients.Counts, r.Clients.Sightings = r.Clients.Counts[:clients], r.Clients.Sightings[:clients*2/5]
					}
					for _, a := range r.Clients.arguments() {
						bytes += len(fmt.Sprint(a))
					}
					if _, err := ledger.Renew(b.Context(), terms, r); err != nil {
						b.Fatal(err)
					}
				}
				for i := range n {
					renew(i)
				}
				ledger.client.Do(b.Context(), "CONFIG", "RESETSTAT")
				i := 0
				for b.Loop() {
					renew(i % n)
					i++
				}
				b.StopTimer()
				b.ReportMetric(usecPerCall(b, ledger.client), "engine-us/op")
				b.ReportMetric(float64(bytes)/float64(seq), "client-bytes/op")
			})
		}
	}
}

// usecPerCall is how long the engine says that it takes for a script.
func usecPerCall(b *testing.B, c *redis.Client) (us float64) {
	stats, err := c.Info(b.Context(), "commandstats").Result()
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(stats, "cmdstat_evalsha:")
	_, after, _ = strings.Cut(after, "usec_per_call=")
	_, _ = fmt.Sscanf(after, "%g", &us)
	return us
}
