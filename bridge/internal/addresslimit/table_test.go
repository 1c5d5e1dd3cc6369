package addresslimit

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// visitFrom is a request of an client key from an address, so many minutes after the first.
type visitFrom struct {
	flow, address uint64
	at            int
	again         int // it is refused, and may come again after so many minutes; 0: it is not refused
	tell          bool
}

func TestLimit(t *testing.T) {
	for name, c := range map[string]struct {
		evict   bool
		visits  []visitFrom
		refused uint64
		evicted uint64
	}{
		"as many as may": {visits: []visitFrom{{1, 1, 0, 0, false}, {1, 2, 0, 0, false}, {1, 1, 1, 0, false}, {1, 2, 60, 0, false}}},
		"one more is refused until the oldest has expired": {visits: []visitFrom{
			{1, 1, 0, 0, false},
			{1, 2, 4, 0, false},
			{1, 3, 5, 5, true},
			{1, 3, 9, 1, false}, // told already
			{1, 3, 10, 0, false},
			{1, 2, 10, 0, false},
			{1, 1, 10, 10, false}, // told 5 minutes ago
		}, refused: 3},
		"an address that is used stays": {visits: []visitFrom{
			{1, 1, 0, 0, false}, {1, 2, 1, 0, false}, {1, 1, 8, 0, false}, {1, 3, 9, 2, true}, {1, 3, 11, 0, false}, {1, 2, 11, 7, false},
		}, refused: 2},
		"accounts are apart": {visits: []visitFrom{{1, 1, 0, 0, false}, {1, 2, 0, 0, false}, {2, 3, 0, 0, false}, {2, 4, 0, 0, false}, {2, 5, 0, 10, true}, {1, 5, 0, 10, true}}, refused: 2},
		"told again after a window": {visits: []visitFrom{
			{1, 1, 0, 0, false}, {1, 2, 0, 0, false}, {1, 3, 1, 9, true}, {1, 1, 9, 0, false}, {1, 2, 9, 0, false}, {1, 3, 10, 9, false}, {1, 3, 11, 8, true},
		}, refused: 3},
		"the newest wins": {evict: true, visits: []visitFrom{
			{1, 1, 0, 0, false},
			{1, 2, 1, 0, false},
			{1, 1, 2, 0, false},
			{1, 3, 3, 0, true}, // evicts 2
			{1, 2, 4, 9, false},
			{1, 1, 4, 0, false},
			{1, 3, 4, 0, false},
			{1, 2, 13, 0, true}, // which comes back after the window, and evicts 1
			{1, 1, 13, 10, false},
		}, refused: 2, evicted: 2},
		"room without eviction": {evict: true, visits: []visitFrom{{1, 1, 0, 0, false}, {1, 2, 5, 0, false}, {1, 3, 10, 0, false}, {1, 1, 15, 0, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Rule{2, 10 * time.Minute, c.evict})
			begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for i, v := range c.visits {
				tell, err := s.Admit(use(v.flow, v.address), begun.Add(time.Duration(v.at)*time.Minute))
				var refusal *Error
				again := 0
				if errors.As(err, &refusal) {
					again = int(refusal.After / time.Minute)
				}
				if again != v.again || tell != v.tell {
					t.Errorf("visit %d %+v: %v, tell %v", i, v, err, tell)
				}
			}
			if got := s.Stats(); got.Refused != c.refused || got.Evicted != c.evicted {
				t.Errorf("%+v, want %d refused, %d evicted", got, c.refused, c.evicted)
			}
		})
	}
}

// What is remembered is bounded: of keys, and of the addresses of each.
func TestLimitIsBounded(t *testing.T) {
	s := New(Rule{2, time.Hour, true})
	now := time.Now()
	for i := range uint64(maxKeys + 100) {
		_, _ = s.Admit(use(i+1, i), now)
	}
	if got := s.Stats().Keys; got != maxKeys || len(s.keys) != maxKeys {
		t.Errorf("%d and %d keys, want %d", got, len(s.keys), maxKeys)
	}
	for i := range uint64(1000) {
		_, _ = s.Admit(use(1, i), now)
	}
	if a := s.key(1, 0); len(a.active) != 2 || len(a.barred) != maxEvicted {
		t.Errorf("%d addresses and %d evicted ones of a key", len(a.active), len(a.barred))
	}
	if tell, err := s.Admit(use(1, 990), now); err == nil || tell {
		t.Error("an address that was evicted lately is let in, or told of again")
	}
}

// Somebody makes up more keys than are remembered. What is known of one that is used
// from too many addresses stays.
func TestMadeUpKeys(t *testing.T) {
	for name, address := range map[string]func(i uint64) uint64{
		"from one address":   func(uint64) uint64 { return 77 },
		"from many, one use": func(i uint64) uint64 { return 1000 + i },
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Rule{2, time.Hour, false})
			now := time.Now()
			for _, from := range []uint64{1, 2} {
				if _, err := s.Admit(use(1, from), now); err != nil {
					t.Fatal(err)
				}
			}
			for i := range uint64(3 * maxKeys) {
				_, _ = s.Admit(use(100+i, address(i)), now)
			}
			if _, err := s.Admit(use(1, 3), now); err == nil {
				t.Error("its addresses are forgotten: a third one is let in")
			}
			if n := len(s.keys); n > maxKeys || s.single.Len()+s.several.Len() != n {
				t.Errorf("%d keys are remembered, %d and %d in the lists", n, s.single.Len(), s.several.Len())
			}
			made := 0
			for _, own := range s.byFirst {
				made += own.Len()
			}
			if made != len(s.keys) {
				t.Errorf("%d keys are in the lists of their first addresses', of %d", made, len(s.keys))
			}
		})
	}
}

func BenchmarkAdmit(b *testing.B) {
	s := New(Rule{3, time.Minute, false})
	now := time.Now()
	b.ReportAllocs()
	for n := uint64(0); b.Loop(); n++ {
		_, _ = s.Admit(use(n%1000, n%3), now)
	}
}

// use is a request with a client key from an address.
func use(key, address uint64) *admission.Request {
	return &admission.Request{ClientKey: key, Address: address}
}
