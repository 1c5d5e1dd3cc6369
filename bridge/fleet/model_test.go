package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/sluice-proxy/sluice/bridge/internal/seeds"
)

// engine is a ledger in a miniredis whose clock and restarts the test makes: the script is the real one.
type engine struct {
	redis  *miniredis.Miniredis
	ledger *Redis
	run    int
	offset time.Duration // of its clock
}

func newEngine(t testing.TB) *engine {
	t.Helper()
	e := &engine{redis: miniredis.RunT(t), run: 1}
	e.redis.Server().SetPreHook(func(p *server.Peer, cmd string, args ...string) bool {
		if !strings.EqualFold(cmd, "info") {
			return false
		}
		p.WriteBulk(fmt.Sprintf("# Server\r\nrun_id:%d\r\n", e.run))
		return true
	})
	var err error
	if e.ledger, err = NewRedis("redis://"+e.redis.Addr(), "app"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.ledger.Close() })
	return e
}

func (e *engine) renew(t testing.TB, now time.Time, terms Terms, r Report) Grant {
	t.Helper()
	e.redis.SetTime(now.Add(e.offset))
	g, err := e.ledger.Renew(context.Background(), terms, r)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// save and restore are for a restart with what was known earlier.
func (e *engine) save() map[string]string {
	all := make(map[string]string)
	keys, _ := e.redis.HKeys(e.ledger.key)
	for _, k := range keys {
		all[k] = e.redis.HGet(e.ledger.key, k)
	}
	return all
}

func (e *engine) restart(known map[string]string) {
	e.run++
	e.redis.FlushAll()
	for k, v := range known {
		e.redis.HSet(e.ledger.key, k, v)
	}
}

// world is a fleet in simulated time.
type world struct {
	t       *testing.T
	rand    *rand.Rand
	now     time.Time
	terms   Terms
	engine  *engine
	down    time.Time // the engine cannot be reached until then
	forgot  time.Time // when the engine came back last without knowing everything
	saved   map[string]string
	gates   []*simGate
	orphans []orphan
	late    []func() // reports that arrive late
	calm    bool

	used      [persons]time.Duration // by clients, at all gates
	mostGates int                    // processes that there were
}

// orphan is a request whose gate died. The ledger may not know of it: it has forgotten something, and
// had not heard of the gate since.
type orphan struct {
	end     time.Time
	unknown bool
}

// simGate is a gate with what a pool does.
type simGate struct {
	*driver
	w      *world
	slot   int // its name
	busy   []time.Time
	idle   int
	load   int       // requests that it wants to run at once
	paused time.Time // until then it does nothing
	cut    time.Time // the ledger cannot be reached until then
	heard  time.Time // when it was heard of last

	clients *simClients
}

const (
	requestMost = 8 * time.Second
	tick        = 50 * time.Millisecond
)

func (w *world) start(slot int) {
	g := &simGate{w: w, slot: slot}
	g.clients = &simClients{g: g}
	w.mostGates++
	m, err := New(Config{
		Terms: w.terms, Ledger: w.engine.ledger, Name: fmt.Sprint("gate", slot), Clients: g.clients,
		Apply: func(int, time.Time, int) {},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	g.driver = newDriver(m, w.now)
	w.gates = append(w.gates, g)
}

func (g *simGate) used() int { return len(g.busy) + g.idle }

// limitNow is what a pool goes by, which notices the end of a lease by itself.
func (g *simGate) limitNow() int {
	if !g.applied.until.IsZero() && !g.w.now.Before(g.applied.until) {
		return g.applied.then
	}
	return g.applied.connections
}

func (g *simGate) usage() Usage {
	return Usage{Connections: g.used(), Short: min(g.load, 1+g.load/2), Wanted: max(g.load, len(g.busy))}
}

func (g *simGate) trim() {
	for g.used() > g.limitNow() && g.idle > 0 {
		g.idle--
	}
}

func (g *simGate) step() {
	w := g.w
	g.busy = slices.DeleteFunc(g.busy, func(end time.Time) bool {
		if ended := !w.now.Before(end); ended {
			g.idle++
			return true
		}
		return false
	})
	if w.now.Before(g.paused) {
		return
	}
	g.trim()
	g.clients.live()
	if r, due := g.look(w.now, g.usage()); due {
		g.exchange(r)
	}
	g.trim()
	for len(g.busy) < g.load && (g.idle > 0 || g.used() < g.limitNow()) {
		if g.idle > 0 {
			g.idle--
		}
		g.busy = append(g.busy, w.now.Add(time.Duration(w.rand.Int64N(int64(requestMost)))))
	}
}

var errLost = errors.New("lost")

// exchange sends a report, which may be lost or late, and so may its answer.
func (g *simGate) exchange(r Report) {
	w := g.w
	if w.now.Before(g.cut) || w.now.Before(w.down) {
		g.answered(w.now, r, Grant{}, errLost)
		return
	}
	fate := w.rand.IntN(100)
	switch {
	case w.calm || fate > 6:
		g.heard = w.now
		g.answered(w.now, r, w.engine.renew(w.t, w.now, w.terms, r), nil)
	case fate < 2:
		g.answered(w.now, r, Grant{}, errLost)
	case fate < 4: // the answer is lost
		g.heard = w.now
		w.engine.renew(w.t, w.now, w.terms, r)
		g.answered(w.now, r, Grant{}, errLost)
	default: // it arrives after others
		g.answered(w.now, r, Grant{}, errLost)
		w.late = append(w.late, func() { w.engine.renew(w.t, w.now, w.terms, r) })
	}
}

// chaos does something to the fleet now and then.
func (w *world) chaos() {
	switch g := w.gates[w.rand.IntN(len(w.gates))]; w.rand.IntN(400) {
	case 0: // a gate dies, and comes back
		for _, end := range g.busy {
			w.orphans = append(w.orphans, orphan{end, g.heard.Before(w.forgot)})
		}
		w.gates = slices.DeleteFunc(w.gates, func(o *simGate) bool { return o == g })
		if !w.now.Before(w.down) {
			w.start(g.slot)
		}
	case 1:
		g.paused = w.now.Add(time.Duration(w.rand.Int64N(int64(20 * time.Second))))
	case 2:
		g.cut = w.now.Add(time.Duration(w.rand.Int64N(int64(40 * time.Second))))
	case 3:
		w.down = w.now.Add(time.Duration(w.rand.Int64N(int64(30 * time.Second))))
	case 4:
		w.engine.restart(nil)
		w.forgot = w.now
	case 23: // someone has removed what it knows of clients
		for _, key := range w.engine.redis.Keys() {
			if strings.HasPrefix(key, w.engine.ledger.clients) {
				w.engine.redis.Del(key)
			}
		}
	case 5:
		w.engine.restart(w.saved)
		w.forgot = w.now
	case 6:
		w.saved = w.engine.save()
	case 7: // the engine's clock is set
		w.engine.offset += time.Duration(w.rand.Int64N(int64(2*time.Hour))) - time.Hour
	case 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19:
		g.load = w.rand.IntN(2 * w.terms.Workers)
	case 20, 21, 22:
		g.load = 0
	}
	if len(w.late) > 0 && w.rand.IntN(8) == 0 {
		i := w.rand.IntN(len(w.late))
		w.late[i]()
		w.late = slices.Delete(w.late, i, i+1)
	}
	if len(w.gates) == 0 {
		w.start(0)
	}
}

// check holds the fleet against what must always be so.
func (w *world) check() {
	w.orphans = slices.DeleteFunc(w.orphans, func(o orphan) bool { return !w.now.Before(o.end) })
	sum, excused := len(w.orphans), 0
	forgetful := !w.forgot.IsZero() && w.now.Sub(w.forgot) < w.terms.Term+termMargin+w.terms.Settle
	for _, o := range w.orphans {
		if o.unknown || forgetful {
			excused++
		}
	}
	for _, g := range w.gates {
		sum += g.used()
		// A gate that does nothing while its lease ends leaves open what it has.
		if w.now.Before(g.paused.Add(tick)) && !g.applied.until.IsZero() && !w.now.Before(g.applied.until) {
			excused += max(0, g.used()-g.applied.then)
		}
	}
	if sum > w.terms.Workers+excused {
		var each []string
		for _, g := range w.gates {
			each = append(each, fmt.Sprintf("gate%d: %d busy, %d idle, allowed %d, cut %v, paused %v, %s", g.slot, len(g.busy), g.idle, g.limitNow(),
				w.now.Before(g.cut), w.now.Before(g.paused), g.m.State().Status))
		}
		w.t.Fatalf("after %v: %d connections for %d workers, %d of requests whose gates died:\n%s\n%v", w.now.Sub(time.Unix(0, 0)), sum, w.terms.Workers,
			len(w.orphans), strings.Join(each, "\n"), w.engine.save())
	}
}

// Random gates that die, pause and are cut off, messages that are lost or late, an engine that ends and
// comes back with what it knew long ago or with nothing, and whose clock is set: the application never
// sees more connections than it has workers, and in the end no worker is lost, and all gates name clients by one
// key and know what the others have of them.
func TestModel(t *testing.T) {
	for seed := range seeds.Of(t, 6) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { runModel(t, seed) })
	}
}

func runModel(t *testing.T, seed uint64) {
	{
		random := rand.New(rand.NewPCG(seed, 1))
		gates := 2 + random.IntN(4)
		w := &world{
			t: t, rand: random, now: time.Unix(0, 0), engine: newEngine(t),
			terms: Terms{Workers: gates + random.IntN(20), Gates: gates, Term: 5 * time.Second, Settle: requestMost + time.Second, Forget: 10 * time.Minute},
		}
		for i := range gates {
			w.start(i)
		}
		for end := w.now.Add(3 * time.Minute); w.now.Before(end); w.now = w.now.Add(tick) {
			w.chaos()
			for _, g := range w.gates {
				g.step()
				w.check()
			}
		}
		w.calm, w.down, w.late = true, time.Time{}, nil
		for _, g := range w.gates {
			g.cut, g.paused, g.load = time.Time{}, time.Time{}, w.terms.Workers
		}
		for end := w.now.Add(w.terms.Forget + time.Minute); w.now.Before(end); w.now = w.now.Add(20 * tick) {
			for _, g := range w.gates {
				g.step()
				w.check()
			}
		}
		w.checkClients()
		sum := 0
		for _, g := range w.gates {
			sum += g.limitNow()
		}
		if sum != w.terms.Workers {
			t.Errorf("in the end %d of %d workers are leased", sum, w.terms.Workers)
		}
		shares := slices.Clone(w.gates)
		slices.SortFunc(shares, func(a, b *simGate) int { return cmp.Compare(a.limitNow(), b.limitNow()) })
		if least, most := shares[0].limitNow(), shares[len(shares)-1].limitNow(); most-least > 1 {
			t.Errorf("gates that want all have from %d to %d workers", least, most)
		}
	}
}

// A gate that was killed and is started again has a place at once, and workers within seconds, although the
// engine was not told of its end. One that is too many has none all the same, even if it has the name of one that
// is there.
func TestGateStartsAgain(t *testing.T) {
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(1, 1)), now: time.Unix(0, 0), engine: newEngine(t), calm: true,
		terms: Terms{Workers: 16, Gates: 2, Term: 5 * time.Second, Settle: 8 * time.Second, Forget: 10 * time.Minute},
	}
	run := func(d time.Duration) {
		for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(tick) {
			for _, g := range w.gates {
				g.step()
			}
		}
	}
	w.start(0)
	w.start(1)
	run(10 * time.Second)
	w.gates = w.gates[1:] // it is killed
	w.start(0)
	again := w.gates[1]
	for range 6 {
		run(time.Second)
		if s := again.m.State(); s.Status == TooMany {
			t.Fatalf("it is too many: %+v", s)
		}
	}
	if s := again.m.State(); s.Status != Leased || s.Allowed == 0 {
		t.Errorf("after 6 s it has %+v", s)
	}
	for _, slot := range []int{2, 0} {
		w.start(slot)
		run(6 * time.Second)
		if s := w.gates[2].m.State(); s.Status != TooMany {
			t.Errorf("a third gate, with name %d, has %+v", slot, s)
		}
		w.gates = w.gates[:2]
	}
}

// A process and the one that follows it are one gate: the engine does not take both for all that there may be.
func TestSuccessorIsNoOtherGate(t *testing.T) {
	e := newEngine(t)
	terms := Terms{Workers: 16, Gates: 2, Term: 5 * time.Second, Settle: 8 * time.Second, Forget: 10 * time.Minute}
	now := time.Unix(0, 0)
	e.renew(t, now, terms, Report{Gate: "a1", Name: "a", Seq: 1, Mode: Join})
	g := e.renew(t, now.Add(time.Second), terms, Report{Gate: "a2", Name: "a", Seq: 1, Mode: Join, Wanted: 16})
	if g.Status != Young || g.Granted > 0 {
		t.Errorf("while another gate may have all workers, it is granted %+v", g)
	}
}
