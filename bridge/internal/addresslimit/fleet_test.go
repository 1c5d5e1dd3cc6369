package addresslimit

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// named is a request at a gate of a fleet.
func named(key, address uint64) *admission.Request {
	return &admission.Request{ClientKey: key, Address: address, ClientName: 100 + key, AddressName: 100 + address}
}

// Other gates are told of an address when it is new and from time to time, by names; not without a fleet, and
// no more than there is room for.
func TestUntold(t *testing.T) {
	s, now := New(Rule{Most: 2, Per: 10 * time.Minute}), time.Unix(1e9, 0)
	_, _ = s.Admit(use(1, 1), now)
	if list := s.Untold(9); len(list) > 0 {
		t.Errorf("there are no other gates, and they are told %+v", list)
	}
	for range 3 {
		_, _ = s.Admit(named(2, 1), now)
	}
	_, _ = s.Admit(named(3, 1), now)
	if list := s.Untold(1); len(list) != 1 || list[0].Name != 102 || list[0].Address != 101 {
		t.Errorf("%+v", list)
	}
	if list := s.Untold(9); len(list) != 1 || list[0].Name != 103 {
		t.Errorf("%+v", list)
	}
	now = now.Add(s.rule.RetellAfter())
	_, _ = s.Admit(named(2, 1), now)
	if list := s.Untold(9); len(list) != 1 {
		t.Errorf("later: %+v", list)
	}
	_, _ = s.Admit(named(4, 1), now)
	s.Renamed()
	_, _ = s.Admit(named(2, 1), now)
	if list := s.Untold(9); len(list) != 1 || list[0].Name != 102 {
		t.Errorf("with other names: %+v", list)
	}
	for i := range uint64(2 * maxUntold) {
		_, _ = s.Admit(named(1000+i, i), now)
	}
	if list := s.Untold(2 * maxUntold); len(list) != maxUntold {
		t.Errorf("%d wait", len(list))
	}
	_, _ = s.Admit(named(1000+2*maxUntold-1, 2*maxUntold-1), now)
	if list := s.Untold(9); len(list) != 1 {
		t.Errorf("what found no room is not told later: %+v", list)
	}
}

// What is too many for all gates is refused for as long as it was said, and others are not.
func TestBar(t *testing.T) {
	for _, evict := range []bool{false, true} {
		s, now := New(Rule{Most: 2, Per: 10 * time.Minute, Evict: evict}), time.Unix(1e9, 0)
		_, _ = s.Admit(named(1, 1), now)
		_, _ = s.Admit(named(1, 2), now)
		list := s.Untold(9)
		s.Bar(list[1], 3*time.Minute, now)
		s.Bar(list[1], 5*time.Minute, now) // it is not there any more
		tell, err := s.Admit(named(1, 2), now)
		if e, ok := errors.AsType[*Error](err); !ok || e.After != 3*time.Minute || e.Key != 101 || !tell {
			t.Errorf("barred: %+v, told %v", err, tell)
		}
		if _, err := s.Admit(named(1, 1), now); err != nil {
			t.Errorf("another address: %v", err)
		}
		if _, err := s.Admit(named(1, 2), now.Add(3*time.Minute)); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
}
