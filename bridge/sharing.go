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
	sharingAccounts = 10000 // accounts remembered; the one that was not used for longest is forgotten
	sharingEvicted  = 64    // evicted addresses remembered of each
)

// sharing bounds from how many addresses each account is used within a window. It
// knows accounts and addresses as hashes. Its methods may be called at the same time.
type sharing struct {
	most  int
	per   time.Duration
	evict bool

	mu       sync.Mutex
	accounts map[uint64]*list.Element
	used     *list.List // of *account, the one that was used last in front
	refused  uint64     // requests
	evicted  uint64     // addresses
}

// account is where one is used from.
type account struct {
	flow   uint64
	active []place // at most sharing.most, the one seen last at the end
	barred []place // evicted; at is when, the last at the end
	toldAt time.Time
}

// place is an address and when it was seen.
type place struct {
	address uint64
	at      time.Time
}

func newSharing(most int, per time.Duration, evict bool) *sharing {
	return &sharing{most: most, per: per, evict: evict, accounts: make(map[uint64]*list.Element), used: list.New()}
}

// sharedError refuses a request of an account that is used from too many addresses.
type sharedError struct {
	after time.Duration // when it may come again; more than 0
	flow  uint64
}

func (e *sharedError) Error() string {
	return fmt.Sprintf("the account %s is used from too many addresses", admission.FlowName(e.flow))
}

// admit notes that flow is used from address. Its error is a *sharedError; tell is
// whether this is the first excess for a window, refused or not.
func (s *sharing) admit(flow, address uint64, now time.Time) (tell bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(flow)
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
	return tell, nil
}

func (s *sharing) refuse(a *account, until, now time.Time) (tell bool, err error) {
	s.refused++
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

// account returns that of flow, which was used last then.
func (s *sharing) account(flow uint64) *account {
	if e := s.accounts[flow]; e != nil {
		s.used.MoveToFront(e)
		return e.Value.(*account)
	}
	if s.used.Len() == sharingAccounts {
		oldest := s.used.Remove(s.used.Back()).(*account)
		delete(s.accounts, oldest.flow)
	}
	a := &account{flow: flow}
	s.accounts[flow] = s.used.PushFront(a)
	return a
}

// SharingSnapshot is what became of accounts that were used from too many addresses.
type SharingSnapshot struct {
	Accounts int    `json:"accounts"` // remembered; expired ones included
	Refused  uint64 `json:"refused"`  // requests that were answered with 429
	Evicted  uint64 `json:"evicted"`  // addresses that had to make room for another
}

func (s *SharingSnapshot) add(other SharingSnapshot) {
	s.Accounts += other.Accounts
	s.Refused += other.Refused
	s.Evicted += other.Evicted
}

func (s *sharing) snapshot() SharingSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SharingSnapshot{Accounts: s.used.Len(), Refused: s.refused, Evicted: s.evicted}
}
