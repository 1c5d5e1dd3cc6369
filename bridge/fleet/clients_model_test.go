package fleet

import (
	"encoding/binary"
	"time"
)

// persons are how many clients there are in a world, at all gates.
const persons = 5

// simClients are the clients of a gate.
type simClients struct {
	g       *simGate
	key     Key
	fast    [persons]int
	used    time.Duration // by the first of them, and not told
	learned []Counted     // nil: nothing is known
}

func (c *simClients) name(person int) uint64 {
	return binary.LittleEndian.Uint64(c.key[:]) + uint64(person)
}

func (c *simClients) SetKey(k Key) { c.key, c.learned = k, nil }

func (c *simClients) Report() (counts []Count, seen []Sighting) {
	for i, n := range c.fast {
		counts = append(counts, Count{Name: c.name(i), Fast: n, Waits: n == 9, Most: time.Minute, Forgiven: 1})
	}
	counts[0].Used, c.used = c.used, 0
	return counts, []Sighting{{Name: c.name(0), Address: uint64(c.g.slot), Most: 100, Per: time.Minute}}
}

func (c *simClients) Learn(counted []Counted, barred []time.Duration, until time.Time) {
	w := c.g.w
	c.learned = counted
	for i, n := range counted {
		switch {
		case !n.Known, n.Gates >= w.mostGates, n.Rank > n.Gates:
			w.t.Fatalf("person %d: %+v, and there were %d gates", i, n, w.mostGates)
		case n.Owes > w.used[i]:
			w.t.Fatalf("person %d owes %v, and has used %v", i, n.Owes, w.used[i])
		case n.Fast > 9*n.Gates:
			w.t.Fatalf("person %d has %d at %d gates", i, n.Fast, n.Gates)
		}
	}
	if barred[0] != 0 || until.Before(w.now) || until.After(w.now.Add(w.terms.Term)) {
		w.t.Fatalf("barred for %v, and that is true until %v, now is %v", barred[0], until, w.now)
	}
}

// live has clients come and go, and use workers.
func (c *simClients) live() {
	w := c.g.w
	if w.calm {
		return
	}
	if w.rand.IntN(10) == 0 {
		c.fast[w.rand.IntN(persons)] = w.rand.IntN(10)
	}
	c.used += tick
	w.used[0] += tick
}

// checkClients is what must be true of clients some seconds after all is calm: one key, and everybody knows
// what the others have.
func (w *world) checkClients() {
	w.t.Helper()
	for i, g := range w.gates {
		c := g.clients
		if first := w.gates[0].clients; c.key != first.key || g.m.State().Key != w.gates[0].m.State().Key {
			w.t.Errorf("gate %d names clients by %x, gate 0 by %x", i, c.key, first.key)
		}
		if c.learned == nil {
			w.t.Errorf("gate %d knows nothing of clients", i)
			continue
		}
		for person, known := range c.learned {
			want := Counted{Known: true}
			for _, other := range w.gates {
				if n := other.clients.fast[person]; other != g && n > 0 {
					want.Fast += n
					want.Gates++
					want.Waits = want.Waits || n == 9
					if other.m.gate[:8] < g.m.gate[:8] {
						want.Rank++
					}
				}
			}
			if known != want {
				w.t.Errorf("gate %d, person %d: %+v, want %+v", i, person, known, want)
			}
		}
	}
}
