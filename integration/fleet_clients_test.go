//go:build linux

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fleet"
)

// sessions returns the client keys at a gate that are no addresses, with what they have in flight here, and
// elsewhere as far as the gate knows.
func (g *configured) sessions(t testing.TB) (list map[string][2]int) {
	t.Helper()
	var state struct {
		Applications []struct {
			Gate struct {
				ClientKeys []struct {
					ClientKey string `json:"client_key"`
					Shared    bool   `json:"shared"`
					InFlight  int    `json:"in_flight"`
					Elsewhere int    `json:"in_flight_elsewhere"`
				} `json:"client_keys"`
			}
		}
	}
	if err := json.Unmarshal([]byte(g.status.get(t, "/status.json")), &state); err != nil {
		t.Fatal(err)
	}
	list = make(map[string][2]int)
	for _, k := range state.Applications[0].Gate.ClientKeys {
		if !k.Shared {
			list[k.ClientKey] = [2]int{k.InFlight, k.Elsewhere}
		}
	}
	return list
}

// awaitOneKey waits until all gates name clients by one key, and returns what they show of it.
func awaitOneKey(t testing.TB, gates []configured) (key string) {
	t.Helper()
	eventually(t, "all gates have one key", func() error {
		key = gates[0].fleetState(t).Key
		for i := range gates {
			if s := gates[i].fleetState(t); s.Status != fleet.Leased || s.Key != key || key == "" {
				return fmt.Errorf("%s, and %+v", key, s)
			}
		}
		return nil
	})
	return key
}

// flush has an engine forget everything.
func (r *redisServer) flush(t testing.TB) {
	t.Helper()
	run(t, exec.Command(need(t, "redis-cli"), "-s", r.socket, "FLUSHALL"))
}

// fleetSession keeps requests of one session open at gates, so many at each.
type fleetSession struct {
	stop chan struct{}
	all  sync.WaitGroup
}

func startFleetSession(t testing.TB, each int, gates ...configured) *fleetSession {
	s := &fleetSession{stop: make(chan struct{})}
	for _, g := range gates {
		for range each {
			s.all.Go(func() {
				for {
					select {
					case <-s.stop:
						return
					default:
					}
					r := g.app.request(t, http.MethodGet, "/page?ms=300", nil)
					r.Header.Set("Cookie", "PHPSESSID=0123456789abcdef")
					r.Header.Set("X-Forwarded-For", "10.9.9.9")
					if resp, _, err := g.app.try(r); err != nil || resp.StatusCode != http.StatusOK {
						time.Sleep(100 * time.Millisecond)
					}
				}
			})
		}
	}
	return s
}

func (s *fleetSession) end() {
	close(s.stop)
	s.all.Wait()
}

// watchSession returns the most and the mean of what the session has in flight at all gates, and at the first.
func watchSession(t testing.TB, gates []configured, d time.Duration) (most int, mean, first float64) {
	t.Helper()
	n := 0
	for end := time.Now().Add(d); time.Now().Before(end); n++ {
		sum := 0
		for i := range gates {
			for _, k := range gates[i].sessions(t) {
				sum += k[0]
				if i == 0 {
					first += float64(k[0])
				}
			}
		}
		most, mean = max(most, sum), mean+float64(sum)
		pause(t, 50*time.Millisecond)
	}
	return most, mean / float64(n), first / float64(n)
}

// A session is one client at all gates: together they give it its limit, and then what its budget leaves. All
// show it by the same name, also after the engine has lost everything, and after one of them was started anew.
func TestFleetClients(t *testing.T) {
	t.Parallel()
	app, engine := startFleetApp(t), startRedis(t)
	gates := startFleet(t, app, engine.url(), 2, "one", "two")
	awaitFleet(t, gates, "all gates have a lease", leased)
	key := awaitOneKey(t, gates)
	others := startFleetLoad(t, gates, 20*time.Millisecond, 24) // they want what there is
	pause(t, 2*time.Second)

	const limit, spent = fleetWorkers / 4, fleetWorkers / 8
	alone := startFleetSession(t, 16, gates[0])
	most, mean := 0, 0.0
	for seconds := 0; most <= limit/2 && seconds < 4; seconds += 2 {
		most, mean, _ = watchSession(t, gates, 2*time.Second)
		t.Logf("at one gate alone: at most %d, %.1f in the mean; the limit is %d", most, mean, limit)
	}
	if most <= limit/2 || most > limit {
		t.Errorf("the session has %d in flight at one gate, which has half of the workers, and the limit is %d", most, limit)
	}
	session := startFleetSession(t, 16, gates[1])
	most, mean, _ = watchSession(t, gates, 2*time.Second)
	t.Logf("at first: at most %d, %.1f in the mean; the limit is %d", most, mean, limit)
	if most > 2*limit {
		t.Errorf("the session has %d in flight at two gates, the limit is %d", most, limit)
	}
	pause(t, 3*time.Second)
	most, mean, first := watchSession(t, gates, 2*time.Second)
	t.Logf("its budget is spent: at most %d, %.1f in the mean, %.1f at the first gate; the limit is %d then", most, mean, first, spent)
	if mean > spent+1 || most > 2*limit {
		t.Errorf("the session has spent its budget, and has %.1f in flight in the mean, %d at most", mean, most)
	}
	if first < 0.3 || mean-first < 0.3 {
		t.Errorf("%.1f of %.1f are at the first gate", first, mean)
	}
	one, two := gates[0].sessions(t), gates[1].sessions(t)
	for name := range one {
		if _, same := two[name]; len(one) != 1 || !same {
			t.Errorf("the session is %v at one gate, %v at the other", one, two)
		}
	}

	alone.end()
	session.end()
	others.end()
	app.wantRoom(t)

	engine.flush(t)
	if again := awaitOneKey(t, gates); again != key {
		t.Errorf("the gates had the key %s, and have %s since the engine has forgotten it", key, again)
	}
	if err := gates[1].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-gates[1].ended
	engine.flush(t)
	gates[1] = startFleet(t, app, engine.url(), 2, "two")[0]
	if again := awaitOneKey(t, gates); again != key {
		t.Errorf("the gates had the key %s, and have %s since one was started anew", key, again)
	}
}

// Wrong passwords of an address count at all gates, and so do the addresses of an account.
func TestFleetLogin(t *testing.T) {
	t.Parallel()
	app, engine := startFleetApp(t), startRedis(t)
	file := filepath.Join(t.TempDir(), "htpasswd")
	run(t, exec.Command(need(t, "htpasswd"), "-bcs", file, "jane", "correct"))
	gates := startFleetWith(t, fmt.Sprintf("auth.file = %q\nauth.paths = [\"/page\"]\nclient.key = \"cookie sid\"\nclient.max_addresses = 2\n", file), app, engine.url(), 2, "one", "two")
	awaitFleet(t, gates, "all gates have a lease", leased)
	awaitOneKey(t, gates)
	pause(t, 1500*time.Millisecond) // with names that all know

	ask := func(gate int, route, from string, change func(*http.Request)) int {
		t.Helper()
		r := gates[gate].app.request(t, http.MethodGet, route, nil)
		r.Header.Set("X-Forwarded-For", from)
		change(r)
		resp, _ := gates[gate].app.do(t, r)
		return resp.StatusCode
	}
	guesses := 0
	guess := func(gate int, from string) int {
		t.Helper()
		guesses++
		return ask(gate, "/page?ms=0", from, func(r *http.Request) { r.SetBasicAuth("jane", fmt.Sprint("wrong ", guesses)) })
	}
	for i := range 20 {
		if status := guess(0, "10.1.1.1"); status != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d", i, status)
		}
	}
	pause(t, 1500*time.Millisecond)
	began, tried := time.Now(), 0
	for ; guess(1, "10.1.1.1") == http.StatusUnauthorized; tried++ {
		if tried > 15 {
			t.Fatalf("another gate takes %d guesses within %v", tried, time.Since(began))
		}
		pause(t, 200*time.Millisecond) // it hears of the others within a second, on a machine that does not stall
	}
	t.Logf("after 20 guesses at one gate, another has taken %d, the last one after %v", tried, time.Since(began))
	if status := guess(1, "10.1.1.2"); status != http.StatusUnauthorized {
		t.Errorf("another address: %d", status)
	}

	visit := func(gate int, from string) int {
		return ask(gate, "/hello", from, func(r *http.Request) { r.Header.Set("Cookie", "sid=account") })
	}
	for i, from := range []string{"10.2.1.1", "10.2.2.1"} {
		if status := visit(i, from); status != http.StatusOK {
			t.Errorf("address %s: %d", from, status)
		}
	}
	pause(t, 1500*time.Millisecond)
	began = time.Now()
	eventually(t, "a third address is refused", func() error {
		if status := visit(1, "10.2.3.1"); status != http.StatusTooManyRequests {
			return errors.New(http.StatusText(status))
		}
		return nil
	})
	t.Logf("a third address was refused after %v", time.Since(began))
	for i, from := range []string{"10.2.1.1", "10.2.2.1"} {
		if status := visit(1-i, from); status != http.StatusOK {
			t.Errorf("address %s at the other gate: %d", from, status)
		}
		if status := visit(i, from); status != http.StatusOK {
			t.Errorf("address %s: %d", from, status)
		}
	}
	gates[1].logs(t, "a client key is used from more addresses")
}
