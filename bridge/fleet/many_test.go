package fleet

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// Many gates: how soon each has its fair part when the load moves from one half of them to the other, and
// how many messages that takes. docs/fleet.md has the figures for a hundred, which are taken with
// SLUICE_SEEDS set.
func TestManyGates(t *testing.T) {
	gates := 16
	if os.Getenv("SLUICE_SEEDS") != "" {
		gates = 100
	}
	workers := 4 * gates
	w := &world{
		t: t, rand: rand.New(rand.NewPCG(1, 1)), now: time.Unix(0, 0), engine: newEngine(t), calm: true,
		terms: Terms{Workers: workers, Gates: gates, Term: 5 * time.Second, Settle: requestMost + time.Second, Forget: 10 * time.Minute},
	}
	for i := range gates {
		w.start(i)
	}
	const step = 100 * time.Millisecond
	// run runs until all is fair, and then for a while, and returns how long that took and how many messages
	// there were for each gate and second, until then and after.
	run := func(fair func(i int, allowed int) bool) (took time.Duration, moving, steady float64) {
		messages := func() (n uint64) {
			for _, g := range w.gates {
				n += g.seq
			}
			return n
		}
		begun, before := w.now, messages()
		for took == 0 {
			all := true
			for i, g := range w.gates {
				g.step()
				all = all && fair(i, g.limitNow())
			}
			w.check()
			w.now = w.now.Add(step)
			if all {
				took = w.now.Sub(begun)
			}
			if w.now.Sub(begun) > time.Minute {
				t.Fatal("it is not fair after a minute")
			}
		}
		moving = float64(messages()-before) / took.Seconds() / float64(gates)
		before = messages()
		for range 100 {
			for _, g := range w.gates {
				g.step()
			}
			w.check()
			w.now = w.now.Add(step)
		}
		return took, moving, float64(messages()-before) / 10 / float64(gates)
	}
	for i, load := range []func(i int) int{
		func(int) int { return 1 },
		func(i int) int { return 20 * (i % 2) },
		func(i int) int { return 20 * ((i + 1) % 2) },
	} {
		for j, g := range w.gates {
			g.load = load(j)
		}
		took, moving, steady := run(func(j, allowed int) bool { return load(j) < 2 || allowed >= workers*3/2/gates })
		t.Logf("load %d: fair after %v; messages for each gate and second: %.1f until then, %.1f after", i, took, moving, steady)
		if took > requestMost+3*time.Second || steady > 6 {
			t.Errorf("load %d: fair after %v, %.1f messages", i, took, steady)
		}
	}
}
