package basicauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// maxSeen is how many passwords are remembered, of the right ones and of the wrong ones.
const maxSeen = 4096

// digest stands for a name and a password. Only this process can make it.
type digest [sha256.Size]byte

// seen remembers what was checked. Others than what was asked for must not push out what
// is right, so wrong ones are apart.
type seen struct {
	key [32]byte

	mu    sync.Mutex
	right map[digest]struct{}
	wrong map[digest]struct{}
}

func newSeen() *seen {
	s := &seen{right: make(map[digest]struct{}), wrong: make(map[digest]struct{})}
	_, _ = rand.Read(s.key[:]) // never fails
	return s
}

func (s *seen) digest(name, password string) (d digest) {
	h := hmac.New(sha256.New, s.key[:])
	h.Write([]byte(name))
	h.Write([]byte{0})
	h.Write([]byte(password))
	h.Sum(d[:0])
	return d
}

// get returns what is known of d.
func (s *seen) get(d digest) (right, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, right = s.right[d]; right {
		return true, true
	}
	_, known = s.wrong[d]
	return false, known
}

func (s *seen) put(d digest, right bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.wrong
	if right {
		m = s.right
	}
	if len(m) >= maxSeen {
		for other := range m { // any of them
			delete(m, other)
			break
		}
	}
	m[d] = struct{}{}
}
