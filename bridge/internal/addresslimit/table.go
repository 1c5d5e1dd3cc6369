package addresslimit

import (
	"container/list"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

const (
	maxKeys      = 10000        // keys remembered
	maxOfAddress = maxKeys / 16 // of these, first seen from one address
	maxEvicted   = 64           // evicted addresses remembered of each key
)

// Table is what is known of client keys. Its methods may be called at the same time.
type Table struct {
	rule Rule

	mu   sync.Mutex
	keys map[uint64]*key
	// Keys that were used from one address, and the others, the one used last in front. A
	// client can make up keys, and use them from all addresses that it has.
	single, several *list.List
	byFirst         map[uint64]*list.List // of *key, by the address that a key was first seen from
	refused         uint64                // requests
	evicted         uint64                // addresses
	untold          []Sighting            // what other gates are to be told
}

// Rule is the limit. Rules can be compared.
type Rule struct {
	Most  int           // addresses of a key, at least 1
	Per   time.Duration // the window, more than 0
	Evict bool          // a further address takes the place of the oldest; else it is refused
}

// key is where a client key is used from.
type key struct {
	hash    uint64
	shown   uint64        // hash in reports
	several bool          // it was used from more than one address, or somebody has tried to
	first   uint64        // the address that it was first seen from
	used    *list.Element // in Table.single or several
	ofFirst *list.Element // in Table.byFirst
	active  []sighting    // at most Rule.Most, the latest at the end
	barred  []sighting    // evicted addresses, and when they were evicted, the latest at the end
	toldAt  time.Time
}

// sighting is an address and when it was seen.
type sighting struct {
	address  uint64
	at, told time.Time // told: when it was last among Table.untold; zero: never
}

// New returns an empty Table.
func New(rule Rule) *Table {
	return &Table{
		rule: rule, keys: make(map[uint64]*key),
		single: list.New(), several: list.New(), byFirst: make(map[uint64]*list.List),
	}
}

// Rule returns the limit.
func (t *Table) Rule() Rule { return t.rule }

// Error refuses a request whose client key is used from too many addresses.
type Error struct {
	After time.Duration // when it may come again; more than 0
	Key   uint64        // in reports
}

func (e *Error) Error() string {
	return fmt.Sprintf("the client key %s is used from too many addresses", admission.ClientKeyName(e.Key))
}

// Admit notes that r's client key is used from its address. Its error is an *Error. Tell is true
// for the first excess in a window, whether it is refused or not: the log should be told.
func (t *Table) Admit(r *admission.Request, now time.Time) (tell bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	address := r.Address
	k := t.key(r.ClientKey, address)
	k.shown = r.ShownKey()
	old := now.Add(-t.rule.Per)
	expired := func(s sighting) bool { return !s.at.After(old) }
	k.active = slices.DeleteFunc(k.active, expired)
	k.barred = slices.DeleteFunc(k.barred, expired)
	same := func(s sighting) bool { return s.address == address }
	if i := slices.IndexFunc(k.active, same); i >= 0 {
		seen := k.active[i]
		seen.at = now
		k.active = append(slices.Delete(k.active, i, i+1), t.retell(k, seen, r))
		return false, nil
	}
	if i := slices.IndexFunc(k.barred, same); i >= 0 {
		return t.refuse(k, k.barred[i].at, now)
	}
	switch {
	case len(k.active) < t.rule.Most:
	case !t.rule.Evict:
		return t.refuse(k, k.active[0].at, now)
	default:
		t.evicted++
		tell = k.tell(now, t.rule.Per)
		if len(k.barred) == maxEvicted {
			k.barred = slices.Delete(k.barred, 0, 1)
		}
		k.barred = append(k.barred, sighting{address: k.active[0].address, at: now})
		k.active = slices.Delete(k.active, 0, 1)
	}
	k.active = append(k.active, t.retell(k, sighting{address: address, at: now}, r))
	if len(k.active) > 1 {
		t.promote(k)
	}
	return tell, nil
}

// refuse refuses a request until what happened at that time has left the window.
func (t *Table) refuse(k *key, at, now time.Time) (tell bool, err error) {
	t.refused++
	t.promote(k)
	return k.tell(now, t.rule.Per), &Error{After: at.Add(t.rule.Per).Sub(now), Key: k.shown}
}

// tell reports whether an excess is the first in a window.
func (k *key) tell(now time.Time, per time.Duration) bool {
	if !k.toldAt.IsZero() && now.Sub(k.toldAt) < per {
		return false
	}
	k.toldAt = now
	return true
}

// key returns what is known of a client key that is used from address. It forgets another
// if there are too many.
func (t *Table) key(hash, address uint64) *key {
	if k := t.keys[hash]; k != nil {
		t.listOf(k).MoveToFront(k.used)
		t.byFirst[k.first].MoveToFront(k.ofFirst)
		return k
	}
	own := t.byFirst[address]
	switch {
	case own != nil && own.Len() >= maxOfAddress:
		t.forget(own.Back().Value.(*key))
	case len(t.keys) < maxKeys:
	case t.single.Len() > 0:
		t.forget(t.single.Back().Value.(*key))
	default:
		t.forget(t.several.Back().Value.(*key))
	}
	if own = t.byFirst[address]; own == nil {
		own = list.New()
		t.byFirst[address] = own
	}
	k := &key{hash: hash, first: address}
	k.used, k.ofFirst = t.single.PushFront(k), own.PushFront(k)
	t.keys[hash] = k
	return k
}

// promote moves a key among those that were used from several addresses. It stays there.
func (t *Table) promote(k *key) {
	if k.several {
		return
	}
	t.single.Remove(k.used)
	k.several, k.used = true, t.several.PushFront(k)
}

func (t *Table) listOf(k *key) *list.List {
	if k.several {
		return t.several
	}
	return t.single
}

func (t *Table) forget(k *key) {
	t.listOf(k).Remove(k.used)
	own := t.byFirst[k.first]
	if own.Remove(k.ofFirst); own.Len() == 0 {
		delete(t.byFirst, k.first)
	}
	delete(t.keys, k.hash)
}

// Stats are what became of client keys that were used from too many addresses.
type Stats struct {
	Keys    int    // remembered; expired ones included
	Refused uint64 // requests
	Evicted uint64 // addresses
}

// Stats returns the sums since New.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Stats{Keys: len(t.keys), Refused: t.refused, Evicted: t.evicted}
}
