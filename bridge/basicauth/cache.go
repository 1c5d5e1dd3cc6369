package basicauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
)

// maxCached is how many results are cached, of right and of wrong passwords each.
const maxCached = 4096

// digest is a keyed hash of a name and a password. Only this process has the key.
type digest [sha256.Size]byte

// cache holds the results of verifications.
type cache struct {
	key [32]byte

	mu    sync.Mutex
	right map[digest]struct{}
	wrong map[digest]struct{}
}

func newCache() *cache {
	c := &cache{right: make(map[digest]struct{}), wrong: make(map[digest]struct{})}
	_, _ = rand.Read(c.key[:]) // never fails
	return c
}

func (c *cache) digest(name, password string) (d digest) {
	h := hmac.New(sha256.New, c.key[:])
	h.Write([]byte(name))
	h.Write([]byte{0})
	h.Write([]byte(password))
	h.Sum(d[:0])
	return d
}

// get returns the result for d, if there is one.
func (c *cache) get(d digest) (right, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, right = c.right[d]; right {
		return true, true
	}
	_, found = c.wrong[d]
	return false, found
}

func (c *cache) put(d digest, right bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.wrong
	if right {
		m = c.right
	}
	if len(m) >= maxCached {
		for other := range m { // any entry
			delete(m, other)
			break
		}
	}
	m[d] = struct{}{}
}
