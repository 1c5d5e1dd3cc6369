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
// returns how many there were and those that failed. At least least are made.
//
// A server that shuts down, as Caddy's does in a reload, may close an idle connection just
// when the client uses it again: net/http's client then repeats a GET. On TCP, Caddy also
// loses connections that it has not accepted yet, so these come through a unix socket.
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
	a := startApp(t, echo)
	directives := func(i int) string {
		return fmt.Sprintf("header X-Reload %d\nsluice %s {\nworkers 8\nmultiplex off\ntimeouts {\nidle 1m\n}\n}", i, a.addr)
	}
	s := startUnix(t, directives(0))
	for range 20 { // the connections there will be
		s.underLoad(8, 64, 1, func(int) {})
	}
	before, dials := s.state()[0], a.accepted.Load()
	n, failed := s.underLoad(8, 10_000, 100, func(i int) { s.load(directives(i + 1)) })
	if n < 10_000 || len(failed) > 0 {
		t.Errorf("of %d requests %d failed: %v", n, len(failed), reasons(failed))
	}
	if re := s.get("/"); re.header.Get("X-Reload") != "100" {
		t.Errorf("answered by configuration %q", re.header.Get("X-Reload"))
	}
	list := s.state()
	if len(list) != 1 {
		t.Fatalf("%d applications", len(list))
	}
	after := list[0].Snapshot
	if got := a.accepted.Load(); got > 8 || after.Pool.Instances[0].Dials != uint64(got) || got < dials {
		t.Errorf("%d connections before, %d after, the pool knows of %d", dials, got, after.Pool.Instances[0].Dials)
	}
	if len(after.Gate.Routes) < len(before.Snapshot.Gate.Routes) || len(after.Gate.Routes) == 0 {
		t.Errorf("%d routes before, %d after", len(before.Snapshot.Gate.Routes), len(after.Gate.Routes))
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
