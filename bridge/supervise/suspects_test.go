package supervise

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func get(path string) Request { return Request{Method: "GET", Path: path, Route: "GET " + path} }

// poisoned is a child that crashes at a request, while others are in flight.
func poisoned(n int) behaviour {
	return behaviour{serves: time.Second, lives: 10 * time.Second, losses: []Request{get("/boom"), get(fmt.Sprintf("/page/%d", n)), get("/")}}
}

// A route that was in flight at three exits in a row is logged, once.
func TestSuspects(t *testing.T) {
	superviseAs(t, Config{}, time.Minute, poisoned, func(s *script, log string) {
		if n := strings.Count(log, "a route was in flight whenever"); n != 2 {
			t.Errorf("%d suspects were logged:\n%s", n, log)
		}
		s.wantLog(t, `in_flight="GET /boom 0s; GET /page/0 0s; GET / 0s"`)
		shot := s.snapshot()
		if len(shot.Suspects) != 2 || shot.Suspects[1].Route != "GET /boom" || shot.Suspects[1].Exits != s.starts()-1 {
			t.Errorf("suspects are %+v", shot.Suspects)
		}
		if d, refused := s.sup.suspects.isRefused("GET /boom", time.Now()); refused {
			t.Errorf("refused for %v, although there is no quarantine", d)
		}
		if e := shot.CrashLoop.Exits[0]; len(e.InFlight) != 3 {
			t.Errorf("in flight were %v", e.InFlight)
		}
	})
}

// A route of which no request was answered is refused, for a while.
func TestQuarantine(t *testing.T) {
	superviseAs(t, Config{Quarantine: 10 * time.Minute}, 0, func(n int) behaviour {
		if n < 3 {
			return poisoned(n)
		}
		return healthy(n)
	}, func(s *script, _ string) {
		for range 30 {
			time.Sleep(time.Second)
			s.sup.answered("app-0", "GET /")
		}
		time.Sleep(5 * time.Second)
		if d, refused := s.sup.suspects.isRefused("GET /boom", time.Now()); !refused || d > 10*time.Minute || d < 9*time.Minute {
			t.Errorf("refused %v, for %v:\n%s", refused, d, s.logged())
		}
		for _, route := range []string{"GET /", "GET /page/0", "GET /other"} {
			if _, refused := s.sup.suspects.isRefused(route, time.Now()); refused {
				t.Errorf("%s is refused", route)
			}
		}
		time.Sleep(10 * time.Minute)
		if _, refused := s.sup.suspects.isRefused("GET /boom", time.Now()); refused {
			t.Error("it is refused for too long")
		}
		// After that, one more exit is enough.
		s.sup.suspects.record(Exit{Time: time.Now(), Served: true, InFlight: []Request{get("/boom")}})
		if _, refused := s.sup.suspects.isRefused("GET /boom", time.Now()); !refused {
			t.Error("it is not refused again")
		}
		// An exit without the route clears it.
		time.Sleep(11 * time.Minute)
		s.sup.suspects.record(Exit{Time: time.Now(), Served: true, InFlight: []Request{get("/")}})
		if list := s.snapshot().Suspects; len(list) != 0 {
			t.Errorf("suspects are %+v", list)
		}
	})
}

// No route is refused any more when there is no quarantine any more.
func TestQuarantineEnds(t *testing.T) {
	superviseAs(t, Config{Quarantine: time.Hour}, time.Minute, func(n int) behaviour {
		if n < 3 {
			return poisoned(n)
		}
		return healthy(n)
	}, func(s *script, _ string) {
		if _, refused := s.group.Quarantined("GET /boom"); !refused {
			t.Fatal("the route is not refused")
		}
		if err := s.reconfigure(t, func(c *Config) { c.Quarantine = 0 }); err != nil {
			t.Fatal(err)
		}
		if d, refused := s.group.Quarantined("GET /boom"); refused {
			t.Errorf("it is refused for %v", d)
		}
	})
}

// A request that meets a child which exits cleanly is sent again and answered: its route is no
// suspect. A request at which each child exits is.
func TestSuspectsOfCleanExits(t *testing.T) {
	superviseAs(t, Config{}, 0, inTurn(behaviour{serves: time.Second, lives: 10 * time.Second, clean: true, losses: []Request{get("/exit"), get("/late")}}), func(s *script, _ string) {
		for range 60 {
			time.Sleep(time.Second)
			s.sup.answered("app-0", "GET /late")
		}
		if list := s.snapshot().Suspects; len(list) != 1 || list[0].Route != "GET /exit" {
			t.Errorf("suspects are %+v", list)
		}
		if log := s.logged(); strings.Count(log, "level=ERROR") != 1 {
			t.Errorf("the log says\n%s", log)
		}
	})
}

// The exit of a child that was told to end makes no suspects.
func TestNoSuspectsInARestart(t *testing.T) {
	superviseAs(t, Config{DrainTimeout: time.Second}, time.Minute, func(n int) behaviour {
		l := healthy(n)
		l.losses = []Request{get("/events")}
		return l
	}, func(s *script, _ string) {
		s.allow(2)
		for i := range 5 {
			s.keepBusy(fmt.Sprintf("app-%d", i%2), time.Minute)
			s.mustRestart(t)
		}
		if list := s.snapshot().Suspects; len(list) != 0 {
			t.Errorf("suspects are %+v", list)
		}
		time.Sleep(time.Hour)
	})
}

// Requests in flight in a stall of the whole application make no suspects.
func TestNoSuspectsInAStall(t *testing.T) {
	superviseAs(t, Config{StallKill: 30 * time.Second, Quarantine: 10 * time.Minute}, time.Second, inTurn(behaviour{losses: []Request{get("/"), get("/login")}}), func(s *script, _ string) {
		s.group.Stalled(time.Now())
		time.Sleep(100 * time.Second)
		s.group.Stalled(time.Time{})
		if list := s.snapshot().Suspects; s.starts() < 4 || len(list) != 0 {
			t.Errorf("%d starts, suspects are %+v", s.starts(), list)
		}
		if d, refused := s.sup.suspects.isRefused("GET /", time.Now()); refused {
			t.Errorf("refused for %v", d)
		}
	})
}
