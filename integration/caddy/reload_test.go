//go:build linux

package caddy

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// underLoad makes requests from so many clients, while reload is called so often, and
// returns how many there were and those that failed. At least least are made. They come
// through a unix socket: of TCP connections Caddy loses those that it has not accepted yet.
func (s *site) underLoad(clients, least, reloads int, reload func(i int)) (requests int64, failed []reply) {
	s.t.Helper()
	var (
		wg   sync.WaitGroup
		n    atomic.Int64
		over atomic.Bool
		mu   sync.Mutex
	)
	for range clients {
		wg.Go(func() {
			for !over.Load() || n.Load() < int64(least) {
				id := n.Add(1)
				re := s.get(fmt.Sprintf("/page/%d", id))
				if want := fmt.Sprintf("GET /page/%d ", id); re.err != nil || re.status != 200 || re.body != want {
					mu.Lock()
					failed = append(failed, re)
					mu.Unlock()
				}
			}
		})
	}
	for i := range reloads {
		for due := int64(least * i / reloads); n.Load() < due; {
			time.Sleep(time.Millisecond) // spreads the reloads over the requests
		}
		reload(i)
	}
	over.Store(true)
	wg.Wait()
	return n.Load(), failed
}

// untouched checks that no request has failed in the module, whatever the client saw.
func (s *site) untouched() {
	s.t.Helper()
	if failed := s.logged(`"logger":"http.handlers.sluice"`, "request failed"); len(failed) > 0 {
		s.t.Errorf("%d requests failed in the module: %s", len(failed), failed[0])
	}
}

// reasons says why the first few requests failed.
func reasons(failed []reply) (list []string) {
	for _, re := range failed[:min(3, len(failed))] {
		list = append(list, fmt.Sprintf("%d %q %v", re.status, re.body, re.err))
	}
	return list
}

// A reload that does not change an application touches nothing of it: no request fails,
// no connection is made anew, what was learned stays.
func TestReloadUnderLoad(t *testing.T) {
	const workers = 8
	var together sync.WaitGroup // so that each of the first requests needs a connection
	together.Add(workers)
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			together.Done()
			together.Wait()
		}
		echo(w, r)
	})
	directives := func(i int) string {
		return fmt.Sprintf(`header X-Reload %d
		sluice %s {
			workers %d
			reserve 0
			multiplex off
			admission {
				unknown %d
			}
			timeouts {
				idle 1m
			}
		}`, i, a.addr, workers, workers)
	}
	s := startUnix(t, directives(0))
	var first sync.WaitGroup
	for range workers {
		first.Go(func() { s.want(s.get("/first"), 200, "GET /first ") })
	}
	first.Wait()
	s.underLoad(workers, 1_000, 1, func(int) {})
	before, dials := s.state()[0].Snapshot, a.accepted.Load()

	n, failed := s.underLoad(workers, 10_000, 100, func(i int) { s.load(directives(i + 1)) })
	if n < 10_000 || len(failed) > 0 {
		t.Errorf("of %d requests %d failed: %v", n, len(failed), reasons(failed))
	}
	s.untouched()
	if re := s.get("/"); re.header.Get("X-Reload") != "100" {
		t.Errorf("answered by configuration %q", re.header.Get("X-Reload"))
	}
	list := s.state()
	if len(list) != 1 {
		t.Fatalf("%d applications", len(list))
	}
	if got, known := a.accepted.Load(), list[0].Snapshot.Pool.Instances[0].Dials; got != dials || known != uint64(got) {
		t.Errorf("%d connections before, %d after, and the pool knows of %d", dials, got, known)
	}
	if learned := list[0].Snapshot.Gate.Routes; len(learned) < len(before.Gate.Routes) || len(learned) == 0 {
		t.Errorf("%d routes before, %d after", len(before.Gate.Routes), len(learned))
	}
}

// A reload that changes a knob drops nothing either.
func TestReloadWithChangesUnderLoad(t *testing.T) {
	a := startApp(t, echo)
	directives := func(i int) string { return fmt.Sprintf("sluice %s {\nworkers %d\n}", a.addr, 8+i%2) }
	s := startUnix(t, directives(0))
	n, failed := s.underLoad(8, 2_000, 20, func(i int) { s.load(directives(i + 1)) })
	if len(failed) > 0 {
		t.Errorf("of %d requests %d failed: %v", n, len(failed), reasons(failed))
	}
	s.untouched()
}

// Requests that are with the application when it is removed are answered; then its
// connections are closed.
func TestRemovedApplicationDrains(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		fmt.Fprint(w, "late")
	})
	s := start(t, "sluice "+a.addr)
	first := make(chan reply)
	go func() { first <- s.get("/") }()
	<-entered
	s.load("respond other")
	s.want(s.get("/"), 200, "other")
	if list := s.state(); len(list) != 0 {
		t.Errorf("still listed: %+v", list)
	}
	close(release)
	s.want(<-first, 200, "late")
}

// A configuration that cannot be loaded leaves the one before as it was.
func TestFailedReload(t *testing.T) {
	a := startApp(t, echo)
	s := start(t, "sluice "+a.addr)
	s.want(s.get("/1"), 200, "GET /1 ")
	err := s.tryLoad("route {\nsluice " + a.addr + "\nsluice " + a.addr + " {\npreset php\nroot /nowhere/at/all\n}\n}")
	if err == nil || !strings.Contains(err.Error(), "cgi: root: ") {
		t.Errorf("%v, want an error about the root", err)
	}
	s.want(s.get("/2"), 200, "GET /2 ")
	if list := s.state(); len(list) != 1 || a.accepted.Load() != 1 {
		t.Errorf("%d applications, %d connections", len(list), a.accepted.Load())
	}
}
