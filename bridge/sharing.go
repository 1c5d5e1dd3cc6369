package bridge

import (
	"container/list"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

const (
	sharingAccounts = 10000                // accounts remembered
	sharingOfOne    = sharingAccounts / 16 // of these, first seen from one address
	sharingEvicted  = 64                   // evicted addresses remembered of each
)

// sharing bounds from how many addresses each account is used within a window. It
// knows accounts and addresses as hashes. Its methods may be called at the same time.
type sharing struct {
	most  int
	per   time.Duration
	evict bool

	mu       sync.Mutex
	accounts map[uint64]*account
	// Those used from one address, and the others, the one that was used last in front. An
	// account can be made up, and be used from as many addresses as its maker has: those of
	// one address are forgotten first, and each address has few.
	single, several *list.List
	makers          map[uint64]*list.List // by the address that an account was first seen from
	refused         uint64                // requests
	evicted         uint64                // addresses
}

// account is where one is used from.
type account struct {
	flow    uint64
	several bool          // it was used from more than one address
	maker   uint64        // the address it was first seen from
	used    *list.Element // in sharing.single or several
	made    *list.Element // in the maker's list
	active  []place       // at most sharing.most, the one seen last at the end
	barred  []place       // evicted; at is when, the last at the end
	toldAt  time.Time
}

// place is an address and when it was seen.
type place struct {
	address uint64
	at      time.Time
}

func newSharing(most int, per time.Duration, evict bool) *sharing {
	return &sharing{
		most: most, per: per, evict: evict, accounts: make(map[uint64]*account),
		single: list.New(), several: list.New(), makers: make(map[uint64]*list.List),
	}
}

// sharedError refuses a request of an account that is used from too many addresses.
type sharedError struct {
	after time.Duration // when it may come again; more than 0
	flow  uint64
}

func (e *sharedError) Error() string {
	return fmt.Sprintf("the client key %s is used from too many addresses", admission.ClientKeyName(e.flow))
}

// admit notes that flow is used from address. Its error is a *sharedError; tell is
// whether this is the first excess for a window, refused or not.
func (s *sharing) admit(flow, address uint64, now time.Time) (tell bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(flow, address)
	old := now.Add(-s.per)
	gone := func(p place) bool { return !p.at.After(old) }
	a.active = slices.DeleteFunc(a.active, gone)
	a.barred = slices.DeleteFunc(a.barred, gone)
	is := func(p place) bool { return p.address == address }
	if i := slices.IndexFunc(a.active, is); i >= 0 {
		a.active = slices.Delete(a.active, i, i+1)
		a.active = append(a.active, place{address, now})
		return false, nil
	}
	if i := slices.IndexFunc(a.barred, is); i >= 0 {
		return s.refuse(a, a.barred[i].at.Add(s.per), now)
	}
	switch {
	case len(a.active) < s.most:
	case !s.evict:
		return s.refuse(a, a.active[0].at.Add(s.per), now)
	default:
		s.evicted++
		tell = a.tell(now, s.per)
		if len(a.barred) == sharingEvicted {
			a.barred = slices.Delete(a.barred, 0, 1)
		}
		a.barred = append(a.barred, place{a.active[0].address, now})
		a.active = slices.Delete(a.active, 0, 1)
	}
	a.active = append(a.active, place{address, now})
	if len(a.active) > 1 {
		s.promote(a)
	}
	return tell, nil
}

func (s *sharing) refuse(a *account, until, now time.Time) (tell bool, err error) {
	s.refused++
	s.promote(a)
	return a.tell(now, s.per), &sharedError{after: until.Sub(now), flow: a.flow}
}

// tell reports whether an excess is the first for a window.
func (a *account) tell(now time.Time, per time.Duration) bool {
	if !a.toldAt.IsZero() && now.Sub(a.toldAt) < per {
		return false
	}
	a.toldAt = now
	return true
}

// account returns that of flow, which is used from address.
func (s *sharing) account(flow, address uint64) *account {
	if a := s.accounts[flow]; a != nil {
		s.listOf(a).MoveToFront(a.used)
		s.makers[a.maker].MoveToFront(a.made)
		return a
	}
	own := s.makers[address]
	switch {
	case own != nil && own.Len() >= sharingOfOne:
		s.forget(own.Back().Value.(*account))
	case len(s.accounts) < sharingAccounts:
	case s.single.Len() > 0:
		s.forget(s.single.Back().Value.(*account))
	default:
		s.forget(s.several.Back().Value.(*account))
	}
	if own = s.makers[address]; own == nil {
		own = list.New()
		s.makers[address] = own
	}
	a := &account{flow: flow, maker: address}
	a.used, a.made = s.single.PushFront(a), own.PushFront(a)
	s.accounts[flow] = a
	return a
}

// promote: a was used from more than one address, or somebody has tried to.
func (s *sharing) promote(a *account) {
	if a.several {
		return
	}
	s.single.Remove(a.used)
	a.several, a.used = true, s.several.PushFront(a)
}

// listOf is the list that a is in. One that was used from several addresses once goes on
// being so.
func (s *sharing) listOf(a *account) *list.List {
	if a.several {
		return s.several
	}
	return s.single
}

func (s *sharing) forget(a *account) {
	s.listOf(a).Remove(a.used)
	own := s.makers[a.maker]
	if own.Remove(a.made); own.Len() == 0 {
		delete(s.makers, a.maker)
	}
	delete(s.accounts, a.flow)
}

// AddressLimitSnapshot is what became of client keys that were used from too many addresses.
type AddressLimitSnapshot struct {
	ClientKeys int    `json:"client_keys"` // remembered; expired ones included
	Refused    uint64 `json:"refused"`     // requests that were answered with 429
	Evicted    uint64 `json:"evicted"`     // addresses that had to make room for another
}

func (s *AddressLimitSnapshot) add(other AddressLimitSnapshot) {
	s.ClientKeys += other.ClientKeys
	s.Refused += other.Refused
	s.Evicted += other.Evicted
}

func (s *sharing) snapshot() AddressLimitSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return AddressLimitSnapshot{ClientKeys: len(s.accounts), Refused: s.refused, Evicted: s.evicted}
}
