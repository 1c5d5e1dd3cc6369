//go:build linux

package integration

import (
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// soakVariable is how long TestSoak runs, such as 10m. Where it is set, the other
// tests under load run for their full length, too.
const soakVariable = "SLUICE_SOAK"

// TestSoak puts applications of every kind under a mixed load, and does to them
// what happens to applications. Meanwhile clients leave, dawdle and upload.
//
// The rule:
//
//   - An answer that looks complete is the right one, whole. Always.
//   - No POST is run twice. Always. Others may be, that is what idempotent means.
//   - A request fails only if it was under way at some time between the killing
//     of its application (or of a worker) and the moment the application serves
//     again, and then with a 502, a 504 or a connection that is cut. A reload, a
//     stop of a second and what other clients do are nobody's failure.
//   - In the end nothing is held: no goroutine, descriptor, slot, connection in
//     use or temporary file.
func TestSoak(t *testing.T) {
	length := 5 * time.Second
	if v := os.Getenv(soakVariable); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatalf("%s: %v", soakVariable, err)
		}
		length = d
	}
	checkLeaks(t)
	apps := []*soakApp{soakFPM(t), soakThreaded(t), soakLibfcgi(t), soakUWSGI(t), soakGo(t)}
	before := memory()

	var wg sync.WaitGroup
	done := make(chan struct{})
	for _, app := range apps {
		wg.Go(func() { app.callers(t, 8, app.next, func() { <-done }) })
	}
	sufferAll(t, apps, length)
	close(done)
	wg.Wait()

	for _, app := range apps {
		app.check(t)
	}
	t.Logf("live memory grew by %d KiB", (memory()-before)>>10)
}

// sufferAll does to each application what can be done to it, over and over, in
// any order.
func sufferAll(t *testing.T, apps []*soakApp, length time.Duration) {
	var faults []func()
	for _, app := range apps {
		faults = append(faults, func() { app.suffer(t, stopped, app.stopForASecond) }, func() { app.suffer(t, killed, app.killAndAwait) })
		if app.reload != nil {
			faults = append(faults, func() { app.suffer(t, reloaded, app.reload) })
		}
	}
	for end := time.Now().Add(length); time.Now().Before(end); {
		rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, suffer := range faults {
			pause(t, 50*time.Millisecond+rand.N(100*time.Millisecond))
			suffer()
		}
	}
}

// soakApp is an application behind a gate of its own, and what may happen to it.
type soakApp struct {
	*load
	name   string
	bridge *bridge.Handler
	ask    func(method string, body []byte) question
	pid    func(testing.TB) int // of the process, or of one of the workers
	kill   func(testing.TB)     // ends it, and lets it be there again
	reload func(*testing.T)     // nil if it cannot

	events []event // what it has suffered
}

// event is what happened to an application, from the signal to the moment it was
// over: a killed application serves again then.
type event struct {
	what         string // stopped, killed, reloaded
	begun, ended time.Time
}

const (
	stopped  = "stopped"
	killed   = "killed"
	reloaded = "reloaded"
)

// during reports whether the request was under way at some time of the event.
func (f failure) during(e event) bool { return !f.ended.Before(e.begun) && !f.begun.After(e.ended) }

// next is the question of a caller in a soak: most have nothing special, one
// leaves, one dawdles with both its uploads and its downloads.
func (a *soakApp) next(caller, i int) question {
	const leaver, dawdler = 0, 1
	switch {
	case caller == leaver:
		q := a.ask(methods[i%2], a.filler[:i%3000])
		q.leaves = time.Duration(1+rand.IntN(60)) * time.Millisecond
		return q
	case caller == dawdler:
		q := a.ask(methods[1+2*(i%2)], a.filler[:1<<20])
		q.pace = 3 * time.Millisecond
		return q
	case (caller+i)%10 == 0:
		return a.ask(http.MethodPut, a.filler[:300_000])
	}
	method := methods[(caller+i)%len(methods)]
	if takesBody(method) {
		return a.ask(method, a.filler[:i%4000])
	}
	return a.ask(method, nil)
}

// suffer does one thing to the application and notes when.
func (a *soakApp) suffer(t *testing.T, what string, do func(*testing.T)) {
	begun := time.Now()
	do(t)
	a.events = append(a.events, event{what, begun, time.Now()})
}

func (a *soakApp) killAndAwait(t *testing.T) {
	a.kill(t)
	eventually(t, a.name+" serves again", func() error {
		return a.exchange(t.Context(), a.ask(http.MethodGet, nil)).err // its failure counts for nothing
	})
}

// stopForASecond stops the application, or one of its workers.
func (a *soakApp) stopForASecond(t *testing.T) {
	pid := a.pid(t)
	a.signal(t, pid, syscall.SIGSTOP)
	pause(t, time.Second)
	a.signal(t, pid, syscall.SIGCONT)
}

// signal sends a signal to a process, which may be a worker that has just retired.
func (a *soakApp) signal(t testing.TB, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
		t.Errorf("%s: %v: %v", a.name, sig, err)
	}
}

// check holds the account against the rule.
func (a *soakApp) check(t *testing.T) {
	a.report(t)
	explained, unsure := 0, 0
	for _, f := range a.failed {
		switch {
		case !f.wrong && a.explains(f):
			explained++
			continue
		case !f.wrong && a.mayHaveRun(f):
			unsure++
			t.Logf("%s: %v; it was stopped", a.name, f)
			continue
		}
		t.Errorf("%s: %v; meanwhile it was %v", a.name, f, a.meanwhile(f))
	}
	if most := 1 + a.right[http.MethodPost]/1000; unsure > most {
		t.Errorf("%s: %d POSTs were lost to stops, want at most %d", a.name, unsure, most)
	}
	again := 0
	if a.keepsLedger() {
		again = a.wantRunOnce(t)
	}
	wantIdle(t, a.bridge)
	s := a.bridge.Snapshot()
	in := s.Pool.Instances[0]
	if in.Zombies > 0 || s.Spool.Files > 0 || s.Spool.Disk > 0 {
		t.Errorf("%s: something is held: %+v", a.name, s)
	}
	t.Logf("%s: %v; %d failures are explained, %d idempotent requests ran twice; %+v",
		a.name, a.counts(), explained, again, in)
	if len(a.right) == 0 {
		t.Errorf("%s: no answers", a.name)
	}
}

// explains reports whether the application was killed, and the failure looks like it.
func (a *soakApp) explains(f failure) bool {
	switch f.status {
	case 0, http.StatusOK, http.StatusBadGateway, http.StatusGatewayTimeout: // 0 and 200: the connection was cut
	default:
		return false
	}
	return slices.Contains(a.meanwhile(f), killed)
}

// mayHaveRun reports whether f is a POST that was not sent again after the application
// had been stopped: a server with threads turns away, when it goes on, what had come
// meanwhile, and whether the POST had been read by then is not known. It is rare.
func (a *soakApp) mayHaveRun(f failure) bool {
	return f.method == http.MethodPost && f.status == http.StatusBadGateway && slices.Contains(a.meanwhile(f), stopped)
}

// meanwhile is what happened to the application while the request was under way.
func (a *soakApp) meanwhile(f failure) (events []string) {
	for _, e := range a.events {
		if f.during(e) {
			events = append(events, e.what)
		}
	}
	return events
}

func (a *soakApp) counts() map[string]int {
	n := map[string]int{}
	for _, e := range a.events {
		n[e.what]++
	}
	return n
}

// keepsLedger reports whether the application notes what it runs.
func (a *soakApp) keepsLedger() bool {
	return strings.HasPrefix(a.ask(http.MethodGet, nil).route, "/once")
}
