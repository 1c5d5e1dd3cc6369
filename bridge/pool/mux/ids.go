package mux

// maxID is the largest request id. Id 0 is for management records: libfcgi closes the
// connection if a request has it.
const maxID = 65535

// ids gives out the request ids of one connection: first each id from 1 up, then those
// that were put back, the oldest first, so that a late record of an earlier request hardly
// ever meets another request. The zero value is ready.
type ids struct {
	issued      uint32   // ids 1 to issued have been given out
	free        []uint16 // put back, oldest first
	quarantined map[uint16]struct{}
}

// take returns an id that no request has. It returns false if there is none.
func (s *ids) take() (id uint16, ok bool) {
	if s.issued < maxID {
		s.issued++
		return uint16(s.issued), true
	}
	for len(s.free) > 0 {
		id, s.free = s.free[0], s.free[1:]
		if !s.isQuarantined(id) {
			return id, true
		}
	}
	return 0, false
}

// put takes an id back.
func (s *ids) put(id uint16) { s.free = append(s.free, id) }

// quarantine keeps an id from being given out again: the application may still send records
// of the request that had it.
func (s *ids) quarantine(id uint16) {
	if s.quarantined == nil {
		s.quarantined = make(map[uint16]struct{})
	}
	s.quarantined[id] = struct{}{}
}

func (s *ids) isQuarantined(id uint16) bool {
	_, is := s.quarantined[id]
	return is
}

// known reports whether a request has had the id.
func (s *ids) known(id uint16) bool { return id > 0 && uint32(id) <= s.issued }
