package supervise

import (
	"strings"
	"testing"
	"time"
)

// load has connected connections to each instance, waiting of them not accepted, and an answer
// every 100 ms, for d.
func (q *queueScript) load(connected, waiting int, d time.Duration) {
	q.mu.Lock()
	q.connected = connected
	q.mu.Unlock()
	q.depth.Store(int64(waiting))
	for range d / (100 * time.Millisecond) {
		q.sup.answered("app-0", "/")
		time.Sleep(100 * time.Millisecond)
	}
}

func superviseCrowded(t *testing.T, cfg Config, then func(q *queueScript)) {
	t.Helper()
	superviseAs(t, cfg, 2*time.Second, inTurn(behaviour{serves: time.Second}), func(s *script, _ string) {
		q := &queueScript{script: s}
		s.sup.call(func() { s.sup.program = q })
		then(q)
	})
}

// A process that accepts only one connection serves one request at once. That is logged once.
func TestServesOneAtOnce(t *testing.T) {
	superviseCrowded(t, Config{Workers: 4}, func(q *queueScript) {
		q.load(1, 0, 10*time.Second)
		if c := q.snapshot().Concurrency; c != (ConcurrencySnapshot{}) {
			t.Errorf("with one connection %+v is known", c)
		}
		for range 20 {
			q.load(4, 3, time.Minute)
			q.load(0, 0, time.Minute)
		}
		c := q.snapshot().Concurrency
		if c.Seen != 1 || c.Limit != 1 || !strings.HasPrefix(c.Advice, "set workers to 1, and spawn.instances (--command-instances) to 4") {
			t.Errorf("known is %+v", c)
		}
		if n := strings.Count(q.logged(), "serves fewer requests at once"); n != 1 || !strings.Contains(q.logged(), "at_once=1 workers=4") {
			t.Errorf("it was logged %d times:\n%s", n, q.logged())
		}
		// If the advice is followed, it is not logged again.
		if err := q.reconfigure(t, func(c *Config) { c.Workers = 1 }); err != nil {
			t.Fatal(err)
		}
		q.load(1, 0, time.Minute)
		if c := q.snapshot().Concurrency; c != (ConcurrencySnapshot{}) {
			t.Errorf("known is %+v", c)
		}
	})
}

// PHP with two children serves two requests at once.
func TestServesTwoAtOnce(t *testing.T) {
	superviseCrowded(t, Config{Workers: 4}, func(q *queueScript) {
		q.load(3, 1, 3*time.Second)
		q.load(4, 3, time.Minute)
		if c := q.snapshot().Concurrency; c.Limit != 2 || c.Advice != "set workers to 2" {
			t.Errorf("known is %+v", c)
		}
	})
}

// Connections may wait for other reasons.
func TestServesAsManyAsItShould(t *testing.T) {
	for name, crowd := range map[string]func(*queueScript){
		"all are accepted":           func(q *queueScript) { q.load(4, 0, time.Hour) },
		"all it has workers for are": func(q *queueScript) { q.load(4, 0, 3*time.Second); q.load(6, 2, time.Hour) },
		"they wait for a moment": func(q *queueScript) {
			for range 1000 {
				q.load(3, 2, time.Second)
				q.load(3, 0, time.Second)
			}
		},
		"it answers nobody": func(q *queueScript) {
			q.load(3, 2, 100*time.Millisecond)
			time.Sleep(time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			superviseCrowded(t, Config{Workers: 4}, func(q *queueScript) {
				crowd(q)
				if c := q.snapshot().Concurrency; c.Limit != 0 || c.Advice != "" {
					t.Errorf("known is %+v", c)
				}
			})
		})
	}
}

// Without requests no samples are taken.
func TestNoSamplesWithoutRequests(t *testing.T) {
	superviseCrowded(t, Config{Workers: 4}, func(q *queueScript) {
		looks := 0
		q.sup.call(func() { q.sup.onPass = func(time.Time) { looks++ } })
		time.Sleep(24 * time.Hour)
		q.sup.call(func() {
			if looks > 30 { // the accept queue of a new child is looked at once an hour
				t.Errorf("it was looked %d times", looks)
			}
			q.sup.onPass = func(time.Time) {}
		})
		q.load(4, 3, time.Minute)
		if c := q.snapshot().Concurrency; c.Limit != 1 {
			t.Errorf("known is %+v", c)
		}
	})
}

// A process that ends after each request serves one at once, too.
func TestEndsAfterEach(t *testing.T) {
	for workers, advice := range map[int]string{1: "", 3: "set workers to 1"} {
		superviseAs(t, Config{Workers: workers}, time.Minute, inTurn(behaviour{serves: time.Second, lives: time.Second, clean: true}), func(s *script, log string) {
			c := s.snapshot().Concurrency
			if !c.EndsAfterEach || !strings.HasPrefix(c.Advice, advice) || (c.Advice == "") != (advice == "") {
				t.Errorf("%d workers: known is %+v", workers, c)
			}
			if n := strings.Count(log, "ends after each request"); n != workers/2 {
				t.Errorf("%d workers: it was logged %d times:\n%s", workers, n, log)
			}
		})
	}
}
