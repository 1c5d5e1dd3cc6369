package bridge

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// A multiplexing application is found out about, and requests share a connection,
// but for those with a body.
func TestMultiplexing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Multiplex: Auto, Workers: 250}}, fcgitest.MuxAfter(time.Second, fcgitest.Page))
		r.peer.Values(fcgitest.ValuesYes)
		var all sync.WaitGroup
		for i := range 200 {
			if i == 100 {
				synctest.Wait() // the server's backlog is not for all of them
			}
			all.Go(func() { r.wantPage(r.get("/")) })
		}
		for range 3 {
			all.Go(func() { r.wantPage(r.post("/", "small")) })
		}
		for range 2 {
			all.Go(func() { r.wantPage(r.post("/", strings.Repeat("large", 10_000))) })
		}
		all.Wait()
		// 128 have one to themselves, then GETs share one, and those with bodies have
		// theirs.
		if n := r.peer.MostOpen(); n > 128+1+5 {
			t.Errorf("%d connections at once, want at most 134", n)
		}
	})
}

// What waits on a shared connection counts as memory of bodies, in the store that there was
// when the connection was made.
func TestSharedConnectionsAreInTheMemoryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Multiplex: On}}, fcgitest.MuxBig(60<<10))
		l, err := r.b.app.app.Pool.Lease(t.Context(), pool.Demand{Buffered: true})
		if err != nil {
			t.Fatal(err)
		}
		get := requestFor(t, "GET", "/")
		vars, err := r.b.serves.Mapper.Vars(nil, get, new(r.b.serves.Mapper.Client(get)), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Begin(nil, &upstream.Request{Vars: vars}, nil, true); err != nil {
			t.Fatal(err)
		}
		store := r.b.app.app.Spool()
		synctest.Wait()
		if n := r.b.Snapshot().Spool.Memory; n < 58<<10 || n > 64<<10 {
			t.Errorf("%d bytes in memory, want those that wait", n)
		}
		next := r.cfg.ApplicationConfig
		next.Spool.Dir = t.TempDir()
		if err := r.b.Application().Configure(next); err != nil || r.b.app.app.Spool() == store {
			t.Fatalf("%v, or the store is the same", err)
		}
		l.Release()
		if n := store.Stats().Memory; n != 0 {
			t.Errorf("%d bytes were not given back", n)
		}
	})
}

// A client that leaves takes its own request along, and nobody else's.
func TestLeavingASharedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Multiplex: On, Workers: 8}}, fcgitest.MuxInterleaved(10, time.Second))
		stays := r.start(http.MethodGet, "/stays", nil)
		leave := r.startLeaving(http.MethodGet, "/left", nil)
		time.Sleep(3500 * time.Millisecond)
		leave()
		re := stays()
		var want strings.Builder
		for i := range 10 {
			fmt.Fprintf(&want, "/stays %d\n", i)
		}
		if re.body != want.String() || re.err != nil {
			t.Errorf("the one that stayed got %q, %v", re.body, re.err)
		}
		time.Sleep(time.Second) // MuxInterleaved does not look at ABORT_REQUEST, and ends both
		r.wantKept(1)
		if n := r.peer.Accepted(); n != 1 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// A client that takes nothing of its answer does not stop another's.
func TestSlowClientOnASharedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 8 << 20
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Multiplex: On, Workers: 8}}, fcgitest.MuxBig(size))
		slow := r.raw()
		defer slow.Close()
		if _, err := slow.Write([]byte("GET /slow HTTP/1.1\r\nHost: app.test\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		begun := time.Now()
		if re := r.get("/quick"); len(re.body) != size || re.err != nil {
			t.Errorf("%d bytes, %v, want %d", len(re.body), re.err, size)
		}
		if d := time.Since(begun); d > 0 {
			t.Errorf("a client that takes nothing held up another for %v", d)
		}
	})
}

// An answer that cannot be used is not waited for, but its worker is: the connection
// it came on carries others, and stays.
func TestUnusableAnswerOnASharedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Multiplex: On}}, fcgitest.Multiplexed(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.Send(fcgitest.Out(q.ID, "this is no header\n\n"))
			s.HoldFor(3 * time.Second)
			s.Send(fcgitest.End(q.ID))
		}))
		begun := time.Now()
		r.wantError(r.get("/"), 502, errProtocol)
		if d := time.Since(begun); d != 0 {
			t.Errorf("the client waited %v", d)
		}
		if s := r.b.Snapshot(); s.Gate.InUse != 1 || s.Pool.Instances[0].Zombies != 1 {
			t.Errorf("%d slots in use, %d zombies, want 1, 1", s.Gate.InUse, s.Pool.Instances[0].Zombies)
		}
		time.Sleep(4 * time.Second)
		r.wantKept(1)
	})
}
