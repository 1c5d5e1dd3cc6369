package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/fleet"
	"github.com/sluice-proxy/sluice/bridge/internal/addresslimit"
)

type someGuesses struct {
	guessed map[string]time.Duration
	owes    string
}

func (g *someGuesses) Label() string                          { return "label" }
func (g *someGuesses) Guessed(n int) map[string]time.Duration { return g.guessed }
func (g *someGuesses) Owes(address string, d time.Duration)   { g.owes = fmt.Sprint(address, " ", d) }

// What is reported of clients, guesses and addresses, and where the answers go.
func TestClientsOfAFleet(t *testing.T) {
	cfg := config.Application{Backends: []string{"unix:/a.sock"}, Workers: 16, Fleet: config.Fleet{Engine: "unix:///nowhere.sock"}}
	a, err := New(cfg, Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	c := &clients{app: a}
	c.SetKey(fleet.Key{1})
	guesses := &someGuesses{guessed: map[string]time.Duration{"192.0.2.1": 6 * time.Second}}
	one := &Site{Mount: "/a", Limit: addresslimit.Rule{Most: 1, Per: time.Minute}, Guesses: guesses, InFlight: func() int64 { return 0 }}
	two := &Site{Mount: "/b", Guesses: guesses, InFlight: func() int64 { return 0 }}
	a.Join(one)
	a.Join(two)
	defer a.Leave(one)
	defer a.Leave(two)
	if before := one.Names().Address("192.0.2.1"); before != two.Names().Address("192.0.2.1") {
		t.Error("an address has two names")
	} else if c.SetKey(fleet.Key{2}); before == one.Names().Address("192.0.2.1") {
		t.Error("it has the same name with another key")
	}

	r := &admission.Request{Route: "r", ClientKey: 1, Address: 2, ClientName: 3, AddressName: 4}
	ticket, err := a.Gate.Acquire(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer ticket.Release()
	_, _ = one.Addresses.Admit(r, time.Now())
	counts, seen := c.Report()
	if len(counts) != 2 || counts[0].Name != 3 || counts[0].Fast != 1 || counts[0].Forgiven != 2 || counts[0].Most != 8*time.Second ||
		counts[1].Used != 6*time.Second || counts[1].Forgiven != 1 || counts[1].Name == 0 {
		t.Errorf("%+v", counts)
	}
	if len(seen) != 1 || seen[0] != (fleet.Sighting{Name: 3, Address: 4, Most: 1, Per: time.Minute}) {
		t.Errorf("%+v", seen)
	}
	c.Learn([]fleet.Counted{{Known: true, Fast: 2, Slow: 1, Gates: 1}, {Known: true, Owes: time.Minute}}, []time.Duration{time.Second}, time.Now().Add(time.Minute))
	if got := a.Gate.Snapshot().ClientKeys; len(got) != 1 || got[0].Elsewhere != 3 || got[0].ClientKey != admission.ClientKeyName(3) {
		t.Errorf("%+v", got)
	}
	if guesses.owes != "192.0.2.1 1m0s" {
		t.Errorf("%q", guesses.owes)
	}
	if _, err := one.Addresses.Admit(r, time.Now()); err == nil {
		t.Error("the address is not refused")
	}
}
