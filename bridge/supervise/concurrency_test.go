package supervise

import (
	"strings"
	"testing"
	"time"
)

// crowd has connected connections to each instance, waiting of them not accepted, and an answer
// every 100 ms, for d.
func (s *script) crowd(connected, waiting int, d time.Duration) {
	s.mu.Lock()
	s.connected = connected
	s.mu.Unlock()
	s.queue.Store(int64(waiting))
	for range d / (100 * time.Millisecond) {
		s.sup.answered("app-0", "/")
		time.Sleep(100 * time.Millisecond)
	}
}

func superviseCrowded(t *testing.T, cfg Config, then func(s *script)) {
	t.Helper()
	superviseAs(t, cfg, 2*time.Second, inTurn(behaviour{serves: time.Second}), func(s *script, _ string) {
		s.queue.Store(0)
		then(s)
	})
}

// A process that accepts only one connection serves one request at once. That is logged once.
func TestServesOneAtOnce(t *testing.T) {
	superviseCrowded(t, Config{Workers: 4}, func(s *script) {
		s.crowd(1, 0, 10*time.Second)
		if c := s.snapshot().Concurrency; c != (ConcurrencySnapshot{}) {
			t.Errorf("with one connection %+v is known", c)
		}
		for range 20 {
			s.crowd(4, 3, time.Minute)
			s.crowd(0, 0, time.Minute)
		}
		c := s.snapshot().Concurrency
		if c.Seen != 1 || c.Limit != 1 || !strings.HasPrefix(c.Advice, "set workers to 1, and spawn.instances (--command-instances) to 4") {
			t.Errorf("known is %+v", c)
		}
		if n := strings.Count(s.logged(), "serves fewer requests at once"); n != 1 || !strings.Contains(s.logged(), "at_once=1 workers=4") {
			t.Errorf("it was logged %d times:\n%s", n, s.logged())
		}
		// If the advice is followed, it is not logged again.
		if err := s.reconfigure(t, func(c *Config) { c.Workers = 1 }); err != nil {
			t.Fatal(err)
		}
		s.crowd(1, 0, time.Minute)
		if c := s.snapshot().Concurrency; c != (ConcurrencySnapshot{}) {
			t.Errorf("known is %+v", c)
		}
	})
}

// PHP with two children serves two requests at once.
func TestServesTwoAtOnce(t *testing.T) {
	superviseCrowded(t, Config{Workers: 4}, func(s *script) {
		s.crowd(3, 1, 3*time.Second)
		s.crowd(4, 3, time.Minute)
		if c := s.snapshot().Concurrency; c.Limit != 2 || c.Advice != "set workers to 2" {
			t.Errorf("known is %+v", c)
		}
	})
}

// Connections may wait for other reasons.
func TestServesAsManyAsItShould(t *testing.T) {
	for name, load := range map[string]func(*script){
		"all are accepted":           func(s *script) { s.crowd(4, 0, time.Hour) },
		"all it has workers for are": func(s *script) { s.crowd(4, 0, 3*time.Second); s.crowd(6, 2, time.Hour) },
		"they wait for a moment": func(s *script) {
			for range 1000 {
				s.crowd(3, 2, time.Second)
				s.crowd(3, 0, time.Second)
			}
		},
		"it answers no request": func(s *script) {
			s.crowd(3, 2, 100*time.Millisecond)
			time.Sleep(time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			superviseCrowded(t, Config{Workers: 4}, func(s *script) {
				load(s)
				if c := s.snapshot().Concurrency; c.Limit != 0 || c.Advice != "" {
					t.Errorf("known is %+v", c)
				}
			})
		})
	}
}

// Without requests no samples are taken.
func TestNoSamplesWithoutRequests(t *testing.T) {
	superviseCrowded(t, Config{Workers: 4}, func(s *script) {
		looks := 0
		s.sup.call(func() { s.sup.onPass = func(time.Time) { looks++ } })
		time.Sleep(24 * time.Hour)
		s.sup.call(func() {
			if looks > 30 { // the accept queue of a new child is looked at once an hour
				t.Errorf("it was looked %d times", looks)
			}
			s.sup.onPass = func(time.Time) {}
		})
		s.crowd(4, 3, time.Minute)
		if c := s.snapshot().Concurrency; c.Limit != 1 {
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
