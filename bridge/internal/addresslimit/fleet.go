package addresslimit

import (
	"slices"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// maxUntold is how many sightings wait to be told to other gates. Those that find no room come later.
const maxUntold = 256

// Sighting is an address that uses a client key at this gate, which other gates of a fleet are to be told.
type Sighting struct {
	Name, Address uint64 // what all gates call the key and the address

	key     *key
	address uint64
}

// RetellAfter is how long an address that uses a client key all the time is not told to others again.
func (r Rule) RetellAfter() time.Duration { return max(time.Second, r.Per/20) }

// retell has other gates told of a sighting, if there are others and it is time, and returns it with when that was.
func (t *Table) retell(k *key, s sighting, r *admission.Request) sighting {
	if r.ClientName == 0 || r.AddressName == 0 || len(t.untold) >= maxUntold || !s.told.IsZero() && s.at.Sub(s.told) < t.rule.RetellAfter() {
		return s
	}
	t.untold = append(t.untold, Sighting{r.ClientName, r.AddressName, k, s.address})
	s.told = s.at
	return s
}

// Untold returns what is to be told to other gates, n sightings at most, once.
func (t *Table) Untold(n int) []Sighting {
	t.mu.Lock()
	defer t.mu.Unlock()
	n = min(n, len(t.untold))
	list := slices.Clone(t.untold[:n])
	t.untold = slices.Delete(t.untold, 0, n)
	return list
}

// Renamed says that keys and addresses have other names from now on: all are to be told anew.
func (t *Table) Renamed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.untold = nil
	for _, k := range t.keys {
		for i := range k.active {
			k.active[i].told = time.Time{}
		}
	}
}

// Bar refuses requests with the key of a sighting, from its address, for some time: with those that are
// seen at other gates, there are too many addresses.
func (t *Table) Bar(s Sighting, wait time.Duration, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := s.key
	same := func(other sighting) bool { return other.address == s.address }
	if t.keys[k.hash] != k || !slices.ContainsFunc(k.active, same) {
		return
	}
	k.active = slices.DeleteFunc(k.active, same)
	k.barred = slices.DeleteFunc(k.barred, same)
	if len(k.barred) == maxEvicted {
		k.barred = slices.Delete(k.barred, 0, 1)
	}
	k.barred = append(k.barred, sighting{address: s.address, at: now.Add(min(wait, t.rule.Per) - t.rule.Per)})
	if t.rule.Evict {
		t.evicted++
	}
	t.promote(k)
}
