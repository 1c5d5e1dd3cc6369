package pool

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// purse is a budget that is never exceeded. All of it must be released.
type purse struct {
	mu         sync.Mutex
	left, most int // most is how much was reserved at once
	size       int
	refused    int
}

func newPurse(size int) *purse { return &purse{left: size, size: size} }

func (b *purse) Reserve(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left {
		b.refused++
		return false
	}
	b.left -= n
	b.most = max(b.most, b.size-b.left)
	return true
}

func (b *purse) Release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}

func (b *purse) wantAllBack(t testing.TB) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left != b.size {
		t.Errorf("%d bytes of %d were not given back", b.size-b.left, b.size)
	}
}

// chargedPool is muxPool with a budget.
func chargedPool(t testing.TB, peer *fcgitest.Peer, workers int, b *purse) *Pool {
	t.Helper()
	return newPool(t, Config{
		Instances: []Instance{{Addr: "app", Dial: peer.Dial}}, Workers: workers, Multiplex: MultiplexOn,
		SendTimeout: time.Minute, Memory: func() Memory { return b },
	})
}

// Requests that the application does not read are charged. One that finds no room was
// not sent, and waits for room, as where the application is full.
func TestWaitingRequestsAreCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		b := newPurse(size)
		p := chargedPool(t, fcgitest.Start(t, fcgitest.MuxDeafTo(1)), 100, b)
		first := leaseFor(t, p, whole)
		send(t, first, "/")
		finishAnswer(t, first)
		synctest.Wait()
		var leases []*Lease
		refused := 0
		for range 60 {
			l := leaseFor(t, p, whole)
			leases = append(leases, l)
			if err := l.Write(bigRequest(l, 30<<10)); err == nil {
				l.SendDone()
				continue
			}
			refused++
			_, err := l.Next(time.Now().Add(time.Second))
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, ErrNoMemory) || e.Replay != ReplaySafe || !e.Full {
				t.Errorf("%+v", err)
			}
		}
		if refused == 0 || b.most < size/2 {
			t.Errorf("%d of 60 were refused, %d bytes charged", refused, b.most)
		}
		time.Sleep(2 * time.Minute) // the connection ends: nothing was taken for too long
		for _, l := range leases {
			l.Release()
		}
		b.wantAllBack(t)
	})
}

// bigRequest is a request with a body of so many bytes.
func bigRequest(l *Lease, size int) []byte {
	id := l.RequestID()
	b := fcgi.AppendBeginRequest(nil, id, fcgi.BeginRequest{Role: fcgi.RoleResponder, Flags: fcgi.FlagKeepConn})
	params := fcgi.NewParamsWriter(b, id)
	b = fcgi.AppendStream(params.End(), fcgi.TypeStdin, id, make([]byte, size))
	return fcgi.AppendStreamEnd(b, fcgi.TypeStdin, id)
}
