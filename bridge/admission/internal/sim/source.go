package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

const (
	ownAddress = 5_000_000 // where the application's own requests come from

	users     = 200
	addresses = 10 // shared by clients without a session
	wikiPages = 20_000
)

// site is the set of requests that clients can send.
type site struct {
	shorts []admission.Request
	polls  []admission.Request
}

func newSite(sc Scenario) site {
	var s site
	for i := range cmp.Or(sc.Routes, 24) {
		group := fmt.Sprintf("GET /app%d", i%6)
		path := fmt.Sprintf("/app%d/page%d", i%6, i)
		s.shorts = append(s.shorts, admission.Request{Route: "GET " + path, Group: group, Method: "GET", Path: path})
	}
	if sc.Wiki {
		for i := range wikiPages {
			path := fmt.Sprintf("/wiki/page%d", i)
			s.shorts = append(s.shorts, admission.Request{Route: "GET " + path, Group: "GET /wiki", Method: "GET", Path: path})
		}
	}
	// /app0/poll is in a group of short routes, which must not suffer from it.
	for _, path := range []string{"/poll/inbox", "/poll/news", "/app0/poll"} {
		group := "GET /poll"
		if path == "/app0/poll" {
			group = "GET /app0"
		}
		s.polls = append(s.polls, admission.Request{Route: "GET " + path, Group: group, Method: "GET", Path: path})
	}
	return s
}

// Streams of random numbers, so that what one source draws does not change another.
const (
	streamShorts = iota + 1
	streamPolls
	streamSlow
	streamNested
	streamTabs // and further ones
)

func (s *run) random(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(s.o.Seed, stream)) }

// arrivals makes requests arrive at a rate, as a Poisson process, until For.
func (s *run) arrivals(rate float64, rng *rand.Rand, next func() *request) {
	if rate <= 0 {
		return
	}
	gap := func() time.Duration { return time.Duration(rng.ExpFloat64() / rate * float64(time.Second)) }
	var arrive func(*request)
	arrive = func(*request) {
		if s.draining() {
			return
		}
		s.arrive(next())
		s.after(gap(), arrive, nil)
	}
	s.after(gap(), arrive, nil)
}

func (s *run) sources() {
	sc := s.o.Scenario
	s.site, s.nesting = newSite(sc), s.random(streamNested)
	site := s.site
	rate := s.o.Load * float64(s.o.Workers) / meanShort.Seconds() / sc.nestedWork()

	rng := s.random(streamShorts)
	s.arrivals(rate, rng, func() *request { return s.newShort(site, rng) })

	polls := s.random(streamPolls)
	s.arrivals(rate*sc.PollShare/(1-sc.PollShare), polls, func() *request {
		return s.newPoll(site, polls, polls.Uint64N(users)+1)
	})

	slows := s.random(streamSlow)
	s.arrivals(sc.SlowRate*float64(s.o.Workers)/slowTime.Seconds(), slows, func() *request {
		return s.newSlow(slows)
	})

	n := 0
	for i := range sc.Floods {
		for range floodConnections {
			rng := s.random(streamTabs + uint64(n))
			s.tab(rng, func() *request { return s.newFlood(site, rng, uint64(i)) })
			n++
		}
	}
	if sc.Tabs {
		for range int(tabsPerWorker * float64(s.o.Workers)) {
			rng := s.random(streamTabs + uint64(n))
			clientKey := uint64(n%users) + 1
			if sc.OneUser {
				clientKey = 1
			}
			s.tab(rng, func() *request { return s.newPoll(site, rng, clientKey) })
			n++
		}
	}
	if sc.Lock {
		for range lockTabs {
			rng := s.random(streamTabs + uint64(n))
			s.tab(rng, func() *request {
				r := s.newShort(site, rng)
				r.class, r.ClientKey, r.Shared = lockBound, users+1, false
				r.work, r.leave, r.own = lockTime, longPatience, false
				return r
			})
			n++
		}
	}
}

func (s *run) newShort(site site, rng *rand.Rand) *request {
	r := &request{
		Request: site.shorts[rng.IntN(len(site.shorts))],
		class:   short,
		work:    time.Duration(rng.ExpFloat64() * float64(meanShort)),
		leave:   patience,
	}
	switch who := rng.Float64(); {
	case who < 0.02: // a request without a client key
	case who < 0.12:
		r.ClientKey, r.Shared = 1_000_000+rng.Uint64N(addresses), true
		r.Address = r.ClientKey
	default:
		r.ClientKey = rng.Uint64N(users) + 1
		r.Address = 2_000_000 + r.ClientKey
	}
	client(r, rng, leaveShort)
	if s.o.Scenario.Nested > 0 && s.nesting.Float64() < s.o.Scenario.Nested {
		r.nests = s.o.Scenario.depth()
	}
	return r
}

// newNested is a request that the page parent sends to its own site.
func (s *run) newNested(parent *request) *request {
	rng := s.nesting
	r := &request{
		Request: s.site.shorts[rng.IntN(len(s.site.shorts))],
		class:   nested,
		work:    time.Duration(rng.ExpFloat64() * float64(meanShort)),
		leave:   patience,
		kept:    true,
		parent:  parent, nests: parent.nests - 1,
	}
	r.Address = ownAddress
	if r.ClientKey, r.Shared = ownAddress, true; s.o.Scenario.Cookie && parent.ClientKey != 0 {
		r.ClientKey, r.Shared = parent.ClientKey, parent.Shared
	}
	return r
}

// newFlood is a request for a page, over one of many connections of an address.
func (s *run) newFlood(site site, rng *rand.Rand, address uint64) *request {
	r := &request{
		Request: site.shorts[rng.IntN(len(site.shorts))],
		class:   slow,
		work:    time.Duration(rng.ExpFloat64() * float64(floodWork)),
		leave:   longPatience,
	}
	r.ClientKey, r.Shared = 4_000_000+address, true
	r.Address = r.ClientKey
	return r
}

func (s *run) newPoll(site site, rng *rand.Rand, clientKey uint64) *request {
	r := &request{
		Request: site.polls[rng.IntN(len(site.polls))],
		class:   poll,
		work:    time.Duration((0.9 + 0.2*rng.Float64()) * float64(pollTime)),
		leave:   longPatience,
	}
	r.ClientKey, r.Long = clientKey, s.o.Policy.told() && !s.o.Scenario.Streams
	client(r, rng, pollTime)
	return r
}

func (s *run) newSlow(rng *rand.Rand) *request {
	path, group := fmt.Sprintf("/archive/%x", rng.Uint64()), "GET /archive"
	if !s.o.Scenario.SlowGroup {
		path, group = fmt.Sprintf("/%x", rng.Uint64()), ""
	}
	r := &request{
		Request: admission.Request{Route: "GET " + path, Group: group, Method: "GET", Path: path, ClientKey: 2_500_000 + rng.Uint64N(5000)},
		class:   slow,
		work:    slowTime,
		leave:   longPatience,
	}
	client(r, rng, slowTime)
	return r
}

// client draws what the client of a request will do.
func client(r *request, rng *rand.Rand, stays time.Duration) {
	r.kept = rng.Float64() < keptShare
	r.heeds = rng.Float64() < 0.5
	if rng.Float64() < leaveShare {
		r.leave, r.own = min(r.leave, time.Duration(rng.ExpFloat64()*float64(stays))), true
	}
}

// tab sends its next request as soon as it has the answer to the last one.
type tab struct {
	s    *run
	rng  *rand.Rand
	next func() *request
}

func (s *run) tab(rng *rand.Rand, next func() *request) {
	t := &tab{s: s, rng: rng, next: next}
	t.again(time.Duration(rng.Float64() * float64(time.Second)))
}

func (t *tab) again(after time.Duration) {
	t.s.after(after, func(*request) {
		if t.s.draining() {
			return
		}
		r := t.next()
		r.tab = t
		t.s.arrive(r)
	}, nil)
}

// pause is how long a browser takes to send the next request.
func (t *tab) pause() time.Duration {
	return 10*time.Millisecond + time.Duration(t.rng.Float64()*float64(50*time.Millisecond))
}
