package supervise

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/seeds"
)

var epoch = time.Date(2007, 8, 29, 12, 0, 0, 0, time.UTC)

// The pause after each exit, without jitter, and whether it is spent in state broken.
func TestMachine(t *testing.T) {
	const lifetime = 10 * time.Millisecond
	for name, tc := range map[string]struct {
		lives string        // of children: - never serves, + serves, c serves and exits cleanly
		life  time.Duration // life of each child
		stop  bool
		want  string // the pause after each exit; ! if the state is broken
	}{
		"never serves":        {"- - - - - - - - - - - -", lifetime, false, "1s 2s 4s 8s 16s 32s 1m0s 1m0s 1m0s 10m0s! 10m0s! 10m0s!"},
		"serves at last":      {"- - - + - -", lifetime, false, "1s 2s 4s 0s 1s 2s"},
		"serves in time":      {"- - - - - - - - - + - -", lifetime, false, "1s 2s 4s 8s 16s 32s 1m0s 1m0s 1m0s 0s 1s 2s"},
		"serves for a moment": {"+ + + + + + + + +", lifetime, false, "0s 100ms 200ms 400ms 800ms 1.6s 3.2s 5s 5s"},
		"serves for a while":  {"+ + + + + + +", 3600 * time.Millisecond, false, "0s 100ms 200ms 400ms 800ms 900ms 900ms"},
		"serves for long":     {"+ + +", time.Hour, false, "0s 0s 0s"},
		"gets no request":     {"- - -", time.Hour, false, "1s 1s 1s"},
		"slow to fail":        {"- - - - - - - - -", 30 * time.Second, false, "1s 2s 4s 8s 16s 32s 1m0s 1m0s 1m0s"},
		"stop":                {"+ + + + + + + + + + - + +", 2 * time.Second, true, "0s 100ms 200ms 400ms 500ms 500ms 500ms 500ms 500ms 10m0s! 10m0s! 500ms 500ms"},
		"broken, then serves": {"- - - - - - - - - - - + - -", lifetime, false, "1s 2s 4s 8s 16s 32s 1m0s 1m0s 1m0s 10m0s! 10m0s! 0s 1s 2s"},
		"exits cleanly":       {"c c c c c c c c c c c c", lifetime, true, "0s 0s 0s 0s 0s 0s 0s 0s 0s 0s 0s 0s"},
		"dies in between":     {"+ + c + c + - c", lifetime, false, "0s 100ms 0s 200ms 0s 400ms 1s 0s"},
	} {
		t.Run(name, func(t *testing.T) {
			now := epoch
			m := newMachine(&budget{max: 10, window: 10 * time.Minute}, tc.stop, func() float64 { return 0.5 }, now)
			var got []string
			for life := range strings.FieldsSeq(tc.lives) {
				m.step(now, started)
				if life != "-" {
					m.step(now, served)
				}
				now = now.Add(tc.life)
				if life == "c" {
					m.step(now, exitedCleanly)
				} else {
					m.step(now, exited)
				}
				text := m.next.Sub(now).String()
				if m.state == stateBroken {
					text += "!"
				}
				got = append(got, text)
				now = m.next
			}
			// A random number of 0.5 takes an eighth off the pause after a child that served.
			want := strings.Fields(tc.want)
			for i, text := range got {
				d, _ := time.ParseDuration(strings.TrimSuffix(text, "!"))
				w, _ := time.ParseDuration(strings.TrimSuffix(want[i], "!"))
				if strings.Fields(tc.lives)[i] == "+" && !strings.HasSuffix(text, "!") {
					w = w * 7 / 8
				}
				if d != w || strings.HasSuffix(text, "!") != strings.HasSuffix(want[i], "!") {
					t.Errorf("pauses are %v, want %v (less an eighth if it served)", got, want)
					break
				}
			}
		})
	}
}

// In any order of events there is a next start if and only if no child runs, and pauses are within
// their bounds.
func TestMachineAtRandom(t *testing.T) {
	for seed := range seeds.Of(t, 2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		now := epoch
		m := newMachine(&budget{max: 3, window: 10 * time.Minute}, seed%2 == 0, r.Float64, now)
		for range 200 {
			now = now.Add(time.Duration(r.ExpFloat64() * float64(20*time.Second)))
			before := m.state
			e := event(r.IntN(int(closed)))
			if e == retire {
				continue // it would be the end
			}
			if before.hasProcess() == (e == started) || !before.hasProcess() && (e == exited || e == exitedCleanly) {
				continue // the supervisor never does that
			}
			m.step(now, e)
			if (m.state.hasProcess() || m.state == stateAsleep) == !m.next.IsZero() || m.state == stateClosed {
				t.Fatalf("seed %d: %v after %v in %v, next start %v", seed, m.state, e, before, m.next)
			}
			pause := m.next.Sub(now)
			switch {
			case m.state.hasProcess():
			case m.state == stateBroken && pause != 10*time.Minute && e == exited:
				t.Fatalf("seed %d: broken for %v", seed, pause)
			case m.state == stateWaiting && before == stateServing && (pause < 0 || pause > maxFlapBackoff):
				t.Fatalf("seed %d: %v after one that served", seed, pause)
			case m.state == stateWaiting && e == exited && before.isUnproven() && (pause < minBackoff || pause > maxBackoff):
				t.Fatalf("seed %d: %v after one that never served", seed, pause)
			}
		}
		m.step(now, closed)
		for e := range closed {
			if m.step(now, e); m.state != stateClosed {
				t.Fatalf("closed, then %v", m.state)
			}
		}
	}
}

// After clean exits there is no pause, up to a rate.
func TestRateOfCleanExits(t *testing.T) {
	m := newMachine(&budget{max: 1, window: time.Hour}, true, func() float64 { return 0 }, epoch)
	now := epoch
	for range cleanBurst {
		m.step(now, started)
		m.step(now, served)
		if m.step(now, exitedCleanly); m.state != stateWaiting || m.next != now {
			t.Fatalf("%v, next start after %v", m.state, m.next.Sub(now))
		}
	}
	for range 10 {
		m.step(now, started)
		m.step(now, served)
		if m.step(now, exitedCleanly); m.state != stateWaiting || m.next.Sub(now) != time.Second/cleanRate {
			t.Fatalf("%v, next start after %v", m.state, m.next.Sub(now))
		}
		now = m.next
	}
}

func TestBudget(t *testing.T) {
	b := budget{max: 3, window: time.Minute}
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	for _, c := range []struct {
		at    int
		spent bool
		left  int
	}{{0, false, 2}, {59, false, 1}, {60, false, 1}, {61, true, 0}, {62, true, 0}, {122, false, 2}} {
		if spent := b.spend(at(c.at)); spent != c.spent || b.left(at(c.at)) != c.left {
			t.Errorf("at %d s: spent %v, left %d, want %+v", c.at, spent, b.left(at(c.at)), c)
		}
	}
	if b.reset(); b.left(at(122)) != 3 {
		t.Errorf("restored, %d are left", b.left(at(122)))
	}
}
