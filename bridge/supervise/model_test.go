package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/seeds"
)

// TestModel plays random histories of an application: children that fail to start, crash, hang and
// grow, requests that come and are answered, restarts, times without requests. After each step it
// checks what always holds. Then there are no more faults: all instances must recover, a restart
// must succeed, and the application must stop when it is idle.
func TestModel(t *testing.T) {
	for seed := range seeds.Of(t, 60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(t, rand.New(rand.NewPCG(seed, 5)))
				if m.begin() {
					m.play()
				}
			})
		})
	}
}

// model is a supervisor with a simulated application and Front.
type model struct {
	*simulation
	rng      *rand.Rand
	plan     *plan
	most     int // instances, whatever the plan
	group    *Group
	restarts []<-chan error // results of the restarts
	begun    time.Time
	passes   int       // of the supervisor
	lastPass time.Time // time of the last pass
	repeated int       // passes at that time
}

func newModel(t *testing.T, rng *rand.Rand) *model {
	chance := rand.New(rand.NewPCG(rng.Uint64(), 6))
	m := &model{simulation: &simulation{t: t, rng: chance, instances: make(map[string]*simInstance)}, rng: rng, begun: time.Now()}
	cfg := m.config()
	cfg.Front = m.simulation
	cfg.Logger = slog.New(slog.NewTextHandler(m.simulation, nil))
	m.plan = &plan{Config: cfg}
	if err := errors.Join(m.plan.SpawnBudget.normalize(), m.plan.normalize()); err != nil {
		t.Fatal(err)
	}
	m.most = m.plan.MaxInstances
	m.maxChildren = m.most + 1
	if m.plan.hasFixedPort() {
		m.maxChildren = 1
	}
	m.sup = newSupervisor(m.simulation, m.plan, rand.New(rand.NewPCG(rng.Uint64(), 7)).Float64)
	m.sup.onPass = m.countPass
	m.group = &Group{supervisor: m.sup}
	return m
}

// config draws a valid configuration.
func (m *model) config() Config {
	maybe := func(most time.Duration) time.Duration {
		if m.rng.IntN(2) == 0 {
			return 0
		}
		return time.Second + upTo(m.rng, most)
	}
	cfg := Config{
		Command: []string{"app"}, Instances: 1 + m.rng.IntN(3), Workers: 3,
		MaxLifetime: maybe(5 * time.Minute), IdleShutdown: maybe(2 * time.Minute), DrainTimeout: maybe(time.Minute),
		StallKill: maybe(time.Minute), MaxTime: maybe(50 * time.Second), Quarantine: maybe(time.Minute),
		SpawnBudget: Budget{Spawns: 1 + m.rng.IntN(8), Per: maybe(10 * time.Minute), Stop: m.rng.IntN(3) == 0},
	}
	cfg.MaxInstances = cfg.Instances + m.rng.IntN(3)
	if m.rng.IntN(5) == 0 {
		cfg.Instances, cfg.MaxInstances, cfg.Listen = 1, 1, "127.0.0.1:9000"
	}
	if m.rng.IntN(2) == 0 {
		cfg.MaxRequests = 2 + m.rng.IntN(100)
	}
	if m.rng.IntN(2) == 0 {
		cfg.Memory.Total = uint64(150+m.rng.IntN(800)) * mib
	}
	if m.rng.IntN(3) == 0 {
		cfg.Memory.Soft = 120 * mib
	}
	if m.rng.IntN(3) == 0 {
		cfg.Ready = m.answers
	}
	if m.rng.IntN(3) == 0 {
		cfg.Socket = SocketPort
	}
	return cfg
}

// countPass fails if the supervisor makes pass after pass while no time passes: it would never
// stop.
func (m *model) countPass(now time.Time) {
	m.passes++
	if !now.Equal(m.lastPass) {
		m.lastPass, m.repeated = now, 0
	}
	if m.repeated++; m.repeated == 200 {
		panic(fmt.Sprintf("%s: the supervisor does not come to rest: due %v, %v\n%s", m.t.Name(), m.sup.nextPass, m.sup.instances, m.recentEvents()))
	}
}

// recentEvents are the last events.
func (w *simulation) recentEvents() string {
	return strings.Join(w.events[max(0, len(w.events)-100):], "\n")
}

// begin starts the supervisor, and reports whether the first children could be started.
func (m *model) begin() bool {
	ctx, cancel := context.WithCancel(context.Background())
	begun := make(chan error, 1)
	go m.sup.run(ctx, begun)
	m.t.Cleanup(func() {
		cancel()
		<-m.sup.done
		m.sup.tasks.Wait()
		m.mu.Lock()
		n := len(m.children)
		m.mu.Unlock()
		if n != len(m.sup.leftovers) {
			m.t.Errorf("%d children are left, %v are known to be", n, m.sup.leftovers)
		}
		if d := time.Since(m.begun); float64(m.passes) > 20*d.Seconds()+1000 {
			m.t.Errorf("the supervisor has made %d passes in %v", m.passes, d)
		}
		if m.t.Failed() {
			m.t.Logf("%+v\n%s", m.plan.Config, m.recentEvents())
		}
		time.Sleep(time.Hour) // in which the children end that are left
	})
	return <-begun == nil
}

func (m *model) play() {
	for i := 0; i < 250 && !m.t.Failed(); i++ {
		time.Sleep(upTo(m.rng, 3*time.Second))
		m.step()
		synctest.Wait()
		m.check()
	}
	for _, then := range []func(){m.checkRecovery, m.checkRestart, m.checkIdle} {
		if m.t.Failed() {
			return
		}
		then()
		synctest.Wait()
		m.check()
	}
}

// step makes one thing happen.
func (m *model) step() {
	switch m.rng.IntN(13) {
	case 12:
		m.reconfigure()
	case 0:
		if m.rng.IntN(4) == 0 {
			m.restart()
		}
	case 1:
		m.group.Stalled(time.Now())
	case 2:
		m.group.Stalled(time.Time{})
	case 3:
		m.await(3 * m.rng.IntN(2))
	case 4:
		m.killOne()
	case 5:
		m.await(0)
		time.Sleep(upTo(m.rng, 3*time.Minute)) // no requests
	default:
		m.group.Wanted()
		m.serve(3)
	}
}

// reconfigure puts other settings in force, perhaps of another command.
func (m *model) reconfigure() {
	was, cfg := m.plan.Config, m.config()
	cfg.Front, cfg.Logger, cfg.Socket, cfg.Listen = was.Front, was.Logger, was.Socket, was.Listen
	cfg.DrainTimeout, cfg.StallKill, cfg.MaxTime = was.DrainTimeout, was.StallKill, was.MaxTime // of drains that go on
	cfg.MaxInstances = min(cfg.MaxInstances, m.most)
	cfg.Instances = min(cfg.Instances, cfg.MaxInstances)
	p := &plan{Config: cfg}
	if err := errors.Join(p.SpawnBudget.normalize(), p.normalize()); err != nil {
		m.t.Fatal(err)
	}
	restart := m.rng.IntN(3) == 0
	m.mu.Lock()
	m.note("configure, restart %v: %+v", restart, cfg)
	m.mu.Unlock()
	m.sup.call(func() {
		if err := p.checkInPlace(m.sup.plan); err != nil {
			m.t.Error(err)
		}
		m.sup.configure(p, restart)
	})
	m.plan = p
}

// await has n requests wait for the application.
func (m *model) await(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting = n
}

// killOne ends a child.
func (m *model) killOne() {
	m.mu.Lock()
	var c *simProcess
	if n := len(m.children); n > 0 {
		c = m.children[m.rng.IntN(n)]
	}
	m.mu.Unlock()
	if c != nil {
		c.die()
	}
}

// restart asks for a restart, and returns its result.
func (m *model) restart() <-chan error {
	m.mu.Lock()
	m.note("restart")
	m.mu.Unlock()
	done := make(chan error, 1)
	go func() { done <- m.group.Restart(context.Background()) }()
	m.restarts = append(m.restarts, done)
	return done
}
