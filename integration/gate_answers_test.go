//go:build linux

package integration

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// A client that knows nothing of 503 and polls again on any answer of its own kind
// gets one when its poll is refused.
func TestRefusedPollsAreAnswered(t *testing.T) {
	t.Parallel() // so few requests do not disturb each other
	const news = `{"messages":[]}`
	be, _ := startThreaded(t, 4)
	gate := startLanes(t, lanesOn, be, "--long-poll", "/poll*", "--queue-long-timeout", "1s",
		"--poll-answer-status", "200", "--poll-answer-type", "application/json", "--poll-answer-body", news)
	s := newSite(t, gate.url)

	type reply struct {
		status     int
		kind, body string
		took       time.Duration
	}
	replies := make([]reply, 12)
	var tabs sync.WaitGroup
	for i := range replies {
		r := s.request(t, http.MethodGet, "/poll?s=4", nil)
		r.Header.Set("Cookie", session("trac_session", 1000+i))
		tabs.Go(func() {
			begin := time.Now()
			resp, body, err := s.try(r)
			if err != nil {
				replies[i].body = err.Error()
				return
			}
			replies[i] = reply{resp.StatusCode, resp.Header.Get("Content-Type"), body, time.Since(begin)}
		})
	}
	// A page is none.
	if got := s.get(t, "/page?ms=1"); got != "page\n" {
		t.Errorf("got %q", got)
	}
	tabs.Wait()

	answered, refused := 0, 0
	for i, r := range replies {
		switch {
		case r.status == http.StatusOK && r.body == "polled\n":
			answered++
		case r.status == http.StatusOK && r.body == news && r.kind == "application/json":
			refused++
			// Up to a tenth less, so that those who came together do not leave together.
			if r.took < 900*time.Millisecond || r.took > time.Second+50*time.Millisecond+jitter {
				t.Errorf("poll %d was refused after %v, want a second", i, r.took)
			}
		default:
			t.Errorf("poll %d: %+v", i, r)
		}
	}
	t.Logf("%d answered by the application, %d by the gate", answered, refused)
	if answered == 0 || refused == 0 {
		t.Error("want some of both")
	}
}

// An account may be used from three addresses in ten minutes. A proxy in front tells
// the addresses.
func TestSharedAccounts(t *testing.T) {
	start := func(t *testing.T, excess string) (ask func(account, address string) (status int, said http.Header), gate laneGate) {
		be, _ := startThreaded(t, 4)
		gate = startLanes(t, lanesOn, be, "--trusted-proxy", "127.0.0.1",
			"--client-key", "cookie sid", "--client-max-addresses", "3 per 10m", "--client-excess", excess)
		s := newSite(t, gate.url)
		return func(account, address string) (int, http.Header) {
			r := s.request(t, http.MethodGet, "/page?ms=1", nil)
			r.Header.Set("X-Forwarded-For", address)
			if account != "" {
				r.Header.Set("Cookie", "theme=dark; sid="+account)
			}
			resp, _ := s.do(t, r)
			return resp.StatusCode, resp.Header
		}, gate
	}
	steps := func(t *testing.T, ask func(string, string) (int, http.Header), steps []addressStep) {
		for i, step := range steps {
			if got, _ := ask(step.account, step.address); got != step.want {
				t.Errorf("step %d: %s from %s: status %d, want %d", i, step.account, step.address, got, step.want)
			}
		}
	}

	t.Run("refuse", func(t *testing.T) {
		ask, gate := start(t, "refuse")
		steps(t, ask, []addressStep{
			{"joint", "192.0.2.1", 200},
			{"joint", "192.0.2.2", 200},
			{"joint", "192.0.2.3", 200},
			{"joint", "192.0.2.1", 200},
			{"joint", "192.0.2.4", 429}, // one too many
			{"joint", "192.0.2.4", 429},
			{"joint", "192.0.2.2", 200}, // those before stay
			{"other", "192.0.2.4", 200}, // its own account works from there
			{"", "192.0.2.4", 200},      // and so does none
		})
		if status, said := ask("joint", "192.0.2.5"); status != 429 || retryAfter(said) <= 0 || retryAfter(said) > 10*time.Minute {
			t.Errorf("status %d, Retry-After %q", status, said.Get("Retry-After"))
		}
		t.Log(gate.describe())
	})
	t.Run("evict", func(t *testing.T) {
		ask, gate := start(t, "evict")
		steps(t, ask, []addressStep{
			{"joint", "192.0.2.1", 200},
			{"joint", "192.0.2.2", 200},
			{"joint", "192.0.2.3", 200},
			{"joint", "192.0.2.4", 200}, // takes the place of the oldest
			{"joint", "192.0.2.2", 200},
			{"joint", "192.0.2.3", 200},
			{"joint", "192.0.2.1", 429},
			{"other", "192.0.2.1", 200},
		})
		t.Log(gate.describe())
	})
}

// addressStep is a request of an account from an address.
type addressStep struct {
	account, address string
	want             int
}
