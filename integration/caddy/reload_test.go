//go:build linux

package caddy

import (
	"fmt"
	"net"
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
	page := func(id int64) (path, body string) {
		path = fmt.Sprintf("/page/%d", id)
		return path, "GET " + path + " "
	}
	return s.underLoadOf(page, clients, least, reloads, reload)
}

// underLoadOf is underLoad with requests of the caller's, and the answers that are wanted.
func (s *site) underLoadOf(page func(id int64) (path, body string), clients, least, reloads int, reload func(i int)) (requests int64, failed []reply) {
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
				path, body := page(n.Add(1))
				if re := s.get(path); re.err != nil || re.status != 200 || re.body != body {
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

// startWarm is a site whose application holds so many connections, and is known.
func startWarm(t *testing.T, connections int, directives func(a *app) string) (*site, *app) {
	t.Helper()
	var together sync.WaitGroup // so that each of the first requests needs a connection
	together.Add(connections)
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			together.Done()
			together.Wait()
		}
		echo(w, r)
	})
	s := startUnix(t, directives(a))
	var first sync.WaitGroup
	for range connections {
		first.Go(func() { s.want(s.get("/first"), 200, "GET /first ") })
	}
	first.Wait()
	s.underLoad(connections, 1_000, 1, func(int) {})
	return s, a
}

// A reload touches nothing of an application, whether it changes its settings or not: no
// request fails, no connection is made anew, what was learned stays.
func TestReloadUnderLoad(t *testing.T) {
	for name, knobs := range map[string]func(i int) (more int, text string){
		"unchanged": func(int) (int, string) { return 0, "" },
		"changed": func(i int) (int, string) {
			return i % 3, fmt.Sprintf("queue {\nsize %d\n}\nspool {\nmemory %dMiB\n}\nmount /\n", 100+i, 8+i%2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			const workers, reloads = 8, 100
			directives := func(a *app, i int) string {
				more, text := knobs(i)
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
					%s
				}`, i, a.addr, workers+more, workers, text)
			}
			s, a := startWarm(t, workers, func(a *app) string { return directives(a, 0) })
			before, dials := s.state()[0].Snapshot, a.accepted.Load()

			n, failed := s.underLoad(workers, 10_000, reloads, func(i int) { s.load(directives(a, i+1)) })
			if n < 10_000 || len(failed) > 0 {
				t.Errorf("of %d requests %d failed: %v", n, len(failed), reasons(failed))
			}
			s.untouched()
			if re := s.get("/"); re.header.Get("X-Reload") != fmt.Sprint(reloads) {
				t.Errorf("answered by configuration %q", re.header.Get("X-Reload"))
			}
			list := s.state()
			if len(list) != 1 {
				t.Fatalf("%d applications", len(list))
			}
			after := list[0].Snapshot
			// While there are more workers than clients, a request that comes before the application has ended
			// the one before has a connection of its own. There are two more at most.
			spare := int64(0)
			if name == "changed" {
				spare = 2
			}
			if got, known := a.accepted.Load(), after.Pool.Instances[0].Dials; got < dials || got > dials+spare || known != uint64(got) {
				t.Errorf("%d connections before, %d after, and the pool knows of %d", dials, got, known)
			}
			if len(after.Gate.Routes) < len(before.Gate.Routes) || len(before.Gate.Routes) == 0 {
				t.Errorf("%d routes before, %d after", len(before.Gate.Routes), len(after.Gate.Routes))
			}
			if more, _ := knobs(reloads); after.Gate.Workers != workers+more || after.Pool.Instances[0].Workers != workers+more {
				t.Errorf("%d workers, want %d", after.Gate.Workers, workers+more)
			}
		})
	}
}

// Backends come and go under load without a request being lost. One that goes ends what it
// has, one that comes is used.
func TestReloadOfBackendsUnderLoad(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	slow := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-release
		}
		echo(w, r)
	})
	b, c := startApp(t, echo), startApp(t, echo)
	directives := func(backends ...*app) string {
		addrs := make([]string, len(backends))
		for i, a := range backends {
			addrs[i] = a.addr
		}
		return "sluice " + strings.Join(addrs, " ") + " {\nworkers 8\n}"
	}
	s := startUnix(t, directives(slow))
	late := make(chan reply)
	patient := &site{t: t, url: s.url, client: &http.Client{Transport: s.client.Transport}} // the load takes what it takes
	go func() { late <- patient.get("/slow") }()
	<-entered

	sets := [][]*app{{slow, b}, {b}, {slow, b, c}, {c, b}}
	n, failed := s.underLoad(8, 10_000, 40, func(i int) { s.load(directives(sets[i%len(sets)]...)) })
	if n < 10_000 || len(failed) > 0 {
		t.Errorf("of %d requests %d failed: %v", n, len(failed), reasons(failed))
	}
	s.untouched()
	if c.accepted.Load() == 0 {
		t.Error("the backend that was added was never used")
	}
	states := func() map[string]string {
		list := s.state()
		if len(list) != 1 || list[0].Snapshot.Gate.Workers != 16 {
			t.Fatalf("%d applications: %+v", len(list), list)
		}
		m := make(map[string]string)
		for _, in := range list[0].Snapshot.Pool.Instances {
			m[in.Addr] = in.State
		}
		return m
	}
	if m := states(); len(m) != 3 || m[slow.addr] != "draining" {
		t.Errorf("%v", m)
	}
	close(release)
	s.want(<-late, 200, "GET /slow ")
	for deadline := time.Now().Add(patience); len(states()) != 2; {
		if time.Now().After(deadline) {
			t.Fatalf("not removed: %v", states())
		}
		time.Sleep(time.Millisecond) // its connection is being closed
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

// A configuration that cannot be loaded leaves the one before as it was: be it that a
// module finds an error, or that an app cannot be started.
func TestFailedReload(t *testing.T) {
	a, added := startApp(t, echo), startApp(t, echo)
	s := start(t, "sluice "+a.addr+" {\nworkers 6\n}")
	s.want(s.get("/1"), 200, "GET /1 ")
	kept := func() {
		t.Helper()
		eventually(t, func() error { // the application is asked first whether it takes that, and may end a request after its answer
			if in := s.state()[0].Snapshot.Pool.Instances[0]; in.KeepAlive != "on" || in.Idle == 0 {
				return fmt.Errorf("no connection is kept: %+v", in)
			}
			return nil
		})
	}
	kept()
	connections := a.accepted.Load()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	changed := "sluice " + a.addr + " " + added.addr + " {\nworkers 9\n}\n"
	for want, rest := range map[string]string{
		"/nowhere/at/all":        "route {\n" + changed + "sluice " + added.addr + "0 {\nspool {\ndir /nowhere/at/all\n}\n}\n}\n}\n",
		"address already in use": changed + "}\nhttp://" + taken.Addr().String() + " {\nrespond hello\n}\n",
	} {
		for range 10 { // which app is started first is a matter of luck
			err := s.tryText(s.global() + s.url + " {\n" + rest)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want an error about %s", err, want)
			}
			kept()
			s.want(s.get("/2"), 200, "GET /2 ")
		}
		list := s.state()
		if len(list) != 1 || a.accepted.Load() != connections || added.accepted.Load() != 0 {
			t.Errorf("%d applications, %d connections, were %d, %d to another", len(list), a.accepted.Load(), connections, added.accepted.Load())
		}
		if s := list[0].Snapshot; s.Gate.Workers != 6 || s.Pool.Instances[0].Workers != 6 || s.Pool.Instances[0].State != "up" {
			t.Errorf("changed: %+v", s)
		}
	}
}

// Two sites on one application share its gate, and must want the same of it.
func TestSitesShareABackend(t *testing.T) {
	a := startApp(t, echo)
	one := "handle /one* {\nsluice " + a.addr + " {\nmount /one\nworkers 3\n}\n}\n"
	two := "handle /two* {\nsluice " + a.addr + " {\nmount /two\nlong_poll /two/poll\nworkers %d\n}\n}\n"
	s := start(t, one+fmt.Sprintf(two, 3))
	if re := s.get("/one/x"); re.status != 200 {
		t.Errorf("%+v", re)
	}
	if re := s.get("/two/x"); re.status != 200 {
		t.Errorf("%+v", re)
	}
	list := s.state()
	if len(list) != 1 || len(list[0].Sites) != 2 || list[0].Snapshot.Gate.Workers != 3 || len(list[0].Snapshot.Gate.Routes) != 2 {
		t.Fatalf("%+v", list)
	}
	err := s.tryLoad(one + fmt.Sprintf(two, 4))
	if err == nil || !strings.Contains(err.Error(), "workers: is 3 and 4: http.handlers.sluice at /one and http.handlers.sluice at /two share the application "+a.addr) {
		t.Errorf("%v", err)
	}
	s.want(s.get("/x"), 200, "")
}
