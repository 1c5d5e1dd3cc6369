package basicauth

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	maxWaiting    = 128 // requests that wait for a verification
	maxPerAddress = 64  // waiting or being verified, of one client address
	maxWait       = 5 * time.Second
)

// errBusy is returned for a password that was not verified, because too many others wait.
var errBusy = errors.New("too many passwords are being verified")

// verifier bounds how many passwords are verified at a time: each may take a tenth of a second of CPU time,
// and any client can send passwords. Client addresses take turns.
type verifier struct {
	slots chan struct{} // holds one element per running verification

	mu      sync.Mutex
	waiting int
	clients map[string]*client // by address
	pending map[digest]*verification
}

// client is a client address that has passwords to verify.
type client struct {
	turn  chan struct{} // holds one element while one of its passwords is verified or waits for a slot
	count int           // of passwords waiting or being verified; guarded by verifier.mu
}

// verification is the verification of one password, for all requests with it.
type verification struct {
	done  chan struct{} // closed when right and err are set
	right bool
	err   error
}

func newVerifier(atOnce int) *verifier {
	return &verifier{slots: make(chan struct{}, atOnce), clients: make(map[string]*client), pending: make(map[digest]*verification)}
}

// do returns the result of verify. If the same password is being verified for another request, do waits for
// that result; if the other request ends before its turn, do verifies the password itself.
func (v *verifier) do(ctx context.Context, d digest, address string, verify func() bool) (right bool, err error) {
	for {
		v.mu.Lock()
		p, found := v.pending[d]
		if !found {
			c := v.clients[address]
			if v.waiting >= maxWaiting || c != nil && c.count >= maxPerAddress {
				v.mu.Unlock()
				return false, errBusy
			}
			if c == nil {
				c = &client{turn: make(chan struct{}, 1)}
				v.clients[address] = c
			}
			p = &verification{done: make(chan struct{})}
			v.pending[d] = p
			v.waiting++
			c.count++
			v.mu.Unlock()

			v.run(ctx, p, c, verify)

			v.mu.Lock()
			delete(v.pending, d)
			if c.count--; c.count == 0 {
				delete(v.clients, address)
			}
			v.mu.Unlock()
			close(p.done)
			return p.right, p.err
		}
		v.mu.Unlock()
		select {
		case <-p.done:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
		if p.err == nil || errors.Is(p.err, errBusy) {
			return p.right, p.err
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
}

// run waits for the client's turn and for a slot, and verifies.
func (v *verifier) run(ctx context.Context, p *verification, c *client, verify func() bool) {
	timeout := time.NewTimer(maxWait)
	defer timeout.Stop()
	p.err = acquire(ctx, c.turn, timeout)
	if p.err == nil {
		defer func() { <-c.turn }()
		p.err = acquire(ctx, v.slots, timeout)
	}
	v.mu.Lock()
	v.waiting--
	v.mu.Unlock()
	if p.err == nil {
		defer func() { <-v.slots }()
		p.right = verify()
	}
}

// acquire waits until the channel has room, and sends to it.
func acquire(ctx context.Context, room chan struct{}, timeout *time.Timer) error {
	select {
	case room <- struct{}{}:
		return nil
	case <-timeout.C:
		return errBusy
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
