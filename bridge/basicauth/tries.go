package basicauth

import (
	"net/netip"
	"sync"
	"time"
)

const (
	triesBurst  = 20              // wrong passwords that a client address may send at once
	triesEvery  = 6 * time.Second // after which it may send one more
	maxTriers   = 4096            // addresses that are remembered
	triesWindow = triesBurst * triesEvery
)

// tries bounds how many passwords a client address may guess. Passwords whose results are cached are no
// guesses. Addresses of this machine are not limited: a proxy that nobody has named may stand there, and
// all clients with it.
type tries struct {
	mu sync.Mutex
	// When all tries of an address are forgotten: each moves it by triesEvery.
	until map[string]time.Time
	// Tries of each address that other gates of a fleet were not told of; nil: nobody asks.
	untold map[string]int
}

func newTries() *tries { return &tries{until: make(map[string]time.Time)} }

// begin counts a try. If there were too many, it returns after how long the address may try again.
func (t *tries) begin(address string, now time.Time) (wait time.Duration) {
	if isLocal(address) {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	until := t.until[address]
	if until.Before(now) {
		until = now
	}
	until = until.Add(triesEvery)
	if wait = until.Sub(now) - triesWindow; wait > 0 {
		return wait
	}
	if _, known := t.until[address]; !known && len(t.until) >= maxTriers {
		t.makeRoom(now)
	}
	t.until[address] = until
	t.note(address, 1)
	return 0
}

// takeBack forgets a try: the password was right, or was not verified.
func (t *tries) takeBack(address string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if isLocal(address) {
		return
	}
	until, known := t.until[address]
	t.note(address, -1)
	if until = until.Add(-triesEvery); known && until.After(now) {
		t.until[address] = until
	} else {
		delete(t.until, address)
	}
}

// note notes a try for other gates.
func (t *tries) note(address string, n int) {
	if t.untold == nil || len(t.untold) >= maxTriers && t.untold[address] == 0 {
		return
	}
	if t.untold[address] += n; t.untold[address] == 0 {
		delete(t.untold, address)
	}
}

// told returns what other gates were not told of, n addresses at most.
func (t *tries) told(n int) map[string]time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.untold == nil {
		t.untold = make(map[string]int)
	}
	list := make(map[string]time.Duration)
	for address, count := range t.untold {
		if len(list) >= n {
			break
		}
		list[address] = time.Duration(count) * triesEvery
		delete(t.untold, address)
	}
	return list
}

// owes has an address wait for what it has tried at all gates, which is forgotten after d.
func (t *tries) owes(address string, d time.Duration, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	until := now.Add(d + time.Duration(t.untold[address])*triesEvery)
	was, known := t.until[address]
	if !until.After(was) || d <= 0 {
		return
	}
	if !known && len(t.until) >= maxTriers {
		t.makeRoom(now)
	}
	t.until[address] = until
}

// makeRoom forgets the addresses that count as new ones, or else any of them.
func (t *tries) makeRoom(now time.Time) {
	for address, until := range t.until {
		if !until.After(now) {
			delete(t.until, address)
		}
	}
	for address := range t.until {
		if len(t.until) < maxTriers {
			return
		}
		delete(t.until, address)
	}
}

// isLocal reports whether an address, or network, is of this machine.
func isLocal(address string) bool {
	if network, err := netip.ParsePrefix(address); err == nil {
		return network.Contains(netip.IPv6Loopback())
	}
	ip, err := netip.ParseAddr(address)
	return err != nil || ip.IsLoopback() // else a unix socket's
}

// triesError says that an address has tried too many passwords.
type triesError struct{ wait time.Duration }

func (e *triesError) Error() string { return "too many passwords of this address were wrong" }
