package supervise

import (
	"strings"
	"testing"
	"time"
)

// A child that never serves is started after a minute at most, and then once in ten minutes.
func TestNeverServes(t *testing.T) {
	superviseOne(t, Budget{}, 24*time.Hour, inTurn(behaviour{lives: 10 * time.Millisecond}), func(s *script, log string) {
		if n := len(s.started); n < 140 || n > 155 {
			t.Errorf("%d starts in a day, want 10 and 144 or so", n)
		}
		if shot := s.snapshot(); shot.Breaker != "open" || shot.Instances[0].State != "broken" || shot.Instances[0].PID != 0 ||
			!shot.CrashLoop.Active || shot.CrashLoop.Count != len(s.started) || len(shot.CrashLoop.Exits) != keptExits {
			t.Errorf("the snapshot is %+v", shot)
		}
		if retry, refusing := s.refusing(); !refusing || retry <= 0 || retry > 10*time.Minute {
			t.Errorf("refusing %v for %v", refusing, retry)
		}
		count := func(text string) int { return strings.Count(log, text) }
		if n := count("a crash loop begins"); n != 1 {
			t.Errorf("%d crash loops began", n)
		}
		if n := count("the crash loop goes on"); n < 24*60-3 || n > 24*60 {
			t.Errorf("the crash loop was logged %d times in a day, want once a minute", n)
		}
		if n := count("no more processes are started for now"); n != 1 {
			t.Errorf("the breaker was logged %d times", n)
		}
		if n := count("msg=\"the command has ended\""); n != crashLoopExits {
			t.Errorf("%d single exits were logged, want those before the crash loop", n)
		}
		if !strings.Contains(log, `exit status 3 after 10ms, served nothing, last lines [\"words of 0\"]`) {
			t.Errorf("the log lacks how it ended:\n%s", log[:2000])
		}
	})
}

// When a probing child has served, the breaker closes, and not before.
func TestBreakerCloses(t *testing.T) {
	superviseOne(t, Budget{Spawns: 3, Per: time.Minute}, 10*time.Minute, func(n int) behaviour {
		if n < 5 {
			return behaviour{lives: 10 * time.Millisecond}
		}
		return behaviour{serves: time.Minute}
	}, func(s *script, log string) {
		var pauses []string
		for i := range s.started[1:] {
			pauses = append(pauses, s.started[i+1].Sub(s.started[i]).Round(time.Second).String())
		}
		if got, want := strings.Join(pauses, " "), "1s 2s 1m0s 1m0s 1m0s"; got != want {
			t.Errorf("pauses were %s, want %s", got, want)
		}
		if _, refusing := s.refusing(); refusing {
			t.Error("it is still refusing")
		}
		shot := s.snapshot()
		in := shot.Instances[0]
		if shot.Breaker != "closed" || shot.Budget.Left != 3 || shot.CrashLoop.Active || shot.CrashLoop.Count != 5 ||
			in.State != "serving" || in.PID != 1005 || in.Restarts != 5 || in.Answered != 1 || len(shot.CrashLoop.Exits) != 5 || in.Lines[0] != "words of 5" {
			t.Errorf("the snapshot is %+v", shot)
		}
		s.wantLog(t, "serves again", "the crash loop is over")
	})
}

// While a child is probing, requests are not refused: it could not serve otherwise.
func TestProbingGetsRequests(t *testing.T) {
	superviseOne(t, Budget{Spawns: 1, Per: time.Minute}, 90*time.Second, inTurn(behaviour{lives: time.Millisecond}, behaviour{}), func(s *script, _ string) {
		if _, refusing := s.refusing(); refusing || s.snapshot().Instances[0].State != "probing" {
			t.Errorf("state %v, refusing %v", s.snapshot().Instances[0].State, refusing)
		}
	})
}

// A child that serves and crashes every 3.6 s: the application runs most of the time, for ever,
// and the log is not flooded.
func TestServesAndCrashes(t *testing.T) {
	const hours = 6
	const each = 3600 * time.Millisecond
	superviseOne(t, Budget{}, hours*time.Hour, inTurn(behaviour{serves: 500 * time.Millisecond, lives: each}), func(s *script, log string) {
		there := time.Duration(len(s.started)) * each
		if there < hours*time.Hour*4/5 {
			t.Errorf("there for %v of %d h, in %d lives", there, hours, len(s.started))
		}
		if n := strings.Count(log, "\n"); n > hours*60+20 {
			t.Errorf("%d lines of log", n)
		}
		if strings.Count(log, "a crash loop begins") != 1 || !strings.Contains(log, "ended_last_minute=13") {
			t.Errorf("the log says\n%s", log[:min(len(log), 3000)])
		}
		if at := s.started[1].Sub(s.started[0]); at != each {
			t.Errorf("the second start was after %v, want at once", at)
		}
	})
}

// With Budget.Stop such an application is not started all the time.
func TestServesAndCrashesStop(t *testing.T) {
	superviseOne(t, Budget{Stop: true}, time.Hour, inTurn(behaviour{serves: 500 * time.Millisecond, lives: 3 * time.Second}), func(s *script, _ string) {
		// Each probing child serves, which closes the breaker and resets the budget.
		if n := len(s.started); n < 40 || n > 70 {
			t.Errorf("%d starts in an hour, want ten or so in ten minutes", n)
		}
	})
}

// The last answer of a child may be reported after its exit.
func TestLateAnswer(t *testing.T) {
	superviseOne(t, Budget{}, 10*time.Second, inTurn(behaviour{serves: time.Second, late: 50 * time.Millisecond, lives: time.Second}, behaviour{}), func(s *script, log string) {
		if len(s.started) != 2 || s.started[1].Sub(s.started[0]) != 1050*time.Millisecond {
			t.Errorf("starts %v", s.started)
		}
		if strings.Contains(log, "served nothing") {
			t.Errorf("the log says\n%s", log)
		}
	})
}

// A program that cannot be started counts as a child that never served.
func TestCannotBeStarted(t *testing.T) {
	superviseOne(t, Budget{Spawns: 4}, time.Hour, inTurn(behaviour{serves: time.Second, lives: 2 * time.Second}, behaviour{fails: true}), func(s *script, log string) {
		if n := len(s.started); n != 1+4+5 {
			t.Errorf("%d starts, want the first, four until the breaker, and a probe each ten minutes", n)
		}
		s.wantLog(t, "could not be started: no such program")
	})
}
