package app

import (
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/fleet"
	"github.com/sluice-proxy/sluice/bridge/internal/addresslimit"
	"github.com/sluice-proxy/sluice/bridge/internal/siphash"
)

// Guesses are the passwords that clients guess at a site. All gates of a fleet count them together.
type Guesses interface {
	// Label is the same wherever the same passwords are asked for.
	Label() string
	// Guessed returns the addresses that have guessed since the last call, n of them at most, and for how
	// long each makes an address wait; less than 0 if a guess was taken back.
	Guessed(n int) map[string]time.Duration
	// Owes is told for how long an address has to wait because of the guesses at all gates, until all of
	// them are forgotten.
	Owes(address string, d time.Duration)
}

// clients tells the other gates of a fleet what the clients of an application use, and learns what they
// use there. It is a fleet.Clients.
type clients struct {
	app *Application
	key siphash.Key

	// What the last report was about.
	uses      []admission.Use
	guesses   []guess
	sightings []sighting
}

// guess is an address that has guessed.
type guess struct {
	at      Guesses
	address string
}

type sighting struct {
	of *addresslimit.Table
	addresslimit.Sighting
}

var _ fleet.Clients = (*clients)(nil)

const (
	mostUses    = 64
	mostGuesses = fleet.MaxCounts - mostUses
	longestDebt = time.Hour // of an address that guesses
)

// SetKey implements fleet.Clients.
func (c *clients) SetKey(k fleet.Key) {
	c.key = siphash.Key(k)
	c.app.sites.setNames(c.key)
}

// Report implements fleet.Clients.
func (c *clients) Report() (counts []fleet.Count, seen []fleet.Sighting) {
	rate, burst := c.budget()
	c.uses = c.app.Gate.Uses(c.part(mostUses))
	for _, u := range c.uses {
		counts = append(counts, fleet.Count{Name: u.Name, Used: u.Spent, Most: burst, Forgiven: rate, Fast: u.Fast, Slow: u.Slow, Waits: u.Waits})
	}
	c.guesses = c.guesses[:0]
	free := c.part(mostGuesses)
	for _, at := range c.app.sites.guesses() {
		key := c.key.Derive("guess " + at.Label())
		for address, d := range at.Guessed(free - len(c.guesses)) {
			c.guesses = append(c.guesses, guess{at, address})
			counts = append(counts, fleet.Count{Name: siphash.Sum(&key, address), Used: d, Most: longestDebt, Forgiven: 1})
		}
	}
	c.sightings = c.app.sites.sightings(c.sightings[:0], c.part(fleet.MaxSightings))
	for _, s := range c.sightings {
		rule := s.of.Rule()
		seen = append(seen, fleet.Sighting{Name: s.Name, Address: s.Address, Most: rule.Most, Per: rule.Per, Evict: rule.Evict})
	}
	return counts, seen
}

// part is how many of most there may be in a report: fewer if there are many gates, as the engine has the
// reports of all of them.
func (c *clients) part(most int) int {
	return min(most, max(8, 10*most/c.app.settings.Load().Fleet.Gates))
}

// budget is how a client's budget grows, and how large it is.
func (c *clients) budget() (rate float64, burst time.Duration) {
	a := &c.app.settings.Load().Admission
	return a.ClientRate, time.Duration(a.ClientBurst * float64(time.Second))
}

// Learn implements fleet.Clients.
func (c *clients) Learn(counted []fleet.Counted, barred []time.Duration, until time.Time) {
	now := time.Now()
	there := make([]admission.Elsewhere, 0, len(c.uses))
	for _, n := range counted[:len(c.uses)] {
		there = append(there, admission.Elsewhere{Known: n.Known, Spent: n.Owes, Fast: n.Fast, Slow: n.Slow, Gates: n.Gates, Rank: n.Rank, Waits: n.Waits})
	}
	c.app.Gate.Learn(c.uses, there, until.Sub(now))
	for i, n := range counted[len(c.uses):] {
		if g := c.guesses[i]; n.Known {
			g.at.Owes(g.address, min(n.Owes, longestDebt))
		}
	}
	for i, wait := range barred {
		if s := c.sightings[i]; wait > 0 {
			s.of.Bar(s.Sighting, wait, now)
		}
	}
}

// guesses returns the Guesses of all sites, each once.
func (l *sites) guesses() (all []Guesses) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.here {
		if s.Guesses != nil && !slices.Contains(all, s.Guesses) {
			all = append(all, s.Guesses)
		}
	}
	return all
}

// sightings appends the addresses that other gates have not been told of, n at most.
func (l *sites) sightings(list []sighting, n int) []sighting {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.limits {
		for _, s := range t.Untold(n - len(list)) {
			list = append(list, sighting{t.Table, s})
		}
	}
	return list
}
