package app

import (
	"testing"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// An authorizer that is asked at the address of its application has workers of its own: what the former
// process holds of one has nothing to do with what the next may have of the other.
func TestLeaveToWithAuthorizer(t *testing.T) {
	process := func() *Application {
		cfg := config.Application{Backends: []string{"http://127.0.0.1:1"}, Workers: 16, Authorizer: &config.Authorizer{Address: "http://127.0.0.1:1/auth", Workers: 2}}
		if err := Complete(&cfg); err != nil {
			t.Fatal(err)
		}
		a, err := New(cfg, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		return a
	}
	former, next := process(), process()
	for key := range uint64(6) { // each has a client of its own
		ticket, err := former.Gate.Acquire(t.Context(), &admission.Request{Route: "/", ClientKey: key + 1})
		if err != nil {
			t.Fatal(err)
		}
		defer ticket.Release()
	}
	held := make(map[string]int)
	former.Yield(held, true)
	next.LeaveTo(held, false)
	limit := func(a *Application) int { return a.Pool.Snapshot().Instances[0].Limit }
	if app, auth := limit(next), limit(next.Authorizer.Application); app != 10 || auth != 1 {
		t.Errorf("%v: the next process may have %d of the application, %d of the authorizer", held, app, auth)
	}
}
