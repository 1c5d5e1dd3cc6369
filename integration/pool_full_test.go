//go:build linux

package integration

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A server that turns away what it has no thread for never has to, if it is given
// as much as it can hold.
func TestCapacityIsKept(t *testing.T) {
	checkLeaks(t)
	be, stats := startThreaded(t, 16)
	url, b := serveBridge(t, be.config())
	l := newLoad(t, url)
	l.callers(t, 64, l.mixed, func() { pause(t, lasting(6*time.Second, 30*time.Second)) })
	l.wantAllRight(t)
	l.wantNoneStarved(t)
	l.wantRunOnce(t)
	got := countersOf(t, stats)
	t.Logf("%+v; %+v", got, b.Snapshot().Pool.Instances[0])
	if got.MostOpen > 16 || got.TurnedAway > 0 {
		t.Errorf("the server saw %d connections at once and turned away %d", got.MostOpen, got.TurnedAway)
	}
}

// A server that is kept full, because it is said to hold more than it does, turns
// connections away all the time. That is no request's error, not even a POST's.
func TestKeptFull(t *testing.T) {
	checkLeaks(t)
	be, stats := startThreaded(t, 16)
	be.workers = 24
	url, b := serveBridge(t, be.plainConfig())
	l := newLoad(t, url)
	l.callers(t, 64, l.mixed, func() { pause(t, lasting(6*time.Second, time.Minute)) })
	l.wantAllRight(t)
	l.wantNoneStarved(t)
	l.wantRunOnce(t)
	got := countersOf(t, stats)
	t.Logf("%+v; %+v", got, b.Snapshot().Pool.Instances[0])
	if got.TurnedAway == 0 {
		t.Error("nothing was turned away: the server was not full")
	}
}

// Other clients hold most of the server's threads for a while.
func TestOtherClientsHoldThreads(t *testing.T) {
	checkLeaks(t)
	be, stats := startThreaded(t, 16)
	url, b := serveBridge(t, be.config())
	l := newLoad(t, url)
	release := holdThreads(t, be, stats, 12)
	l.callers(t, 32, l.mixed, func() {
		pause(t, lasting(3*time.Second, 10*time.Second))
		release()
		pause(t, lasting(2*time.Second, 10*time.Second))
	})
	l.wantAllRight(t)
	l.wantNoneStarved(t)
	l.wantRunOnce(t)
	t.Logf("%+v; %+v", countersOf(t, stats), b.Snapshot().Pool.Instances[0])
}

// holdThreads opens connections that say nothing.
func holdThreads(t testing.TB, be backend, stats string, n int) (release func()) {
	t.Helper()
	conns := make([]net.Conn, n)
	release = func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}
	t.Cleanup(release)
	for i := range conns {
		c, err := net.Dial("unix", strings.TrimPrefix(be.addr, "unix:"))
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
	}
	eventually(t, "the threads are held", func() error {
		if countersOf(t, stats).Open != n {
			return errNotYet
		}
		return nil
	})
	return release
}

// The socket is there before the application is, which takes a second to start:
// nothing fails, and what the application can do is found out all the same.
func TestSlowStart(t *testing.T) {
	t.Run("threaded", func(t *testing.T) {
		checkLeaks(t)
		app, stats := threaded(t, 16)
		app.Args = append(app.Args, "--start", "1")
		addr := startSlowly(t, app)
		got := startUnderLoad(t, backend{addr: addr, workers: 16}, 64, stats, (*load).mixed)
		if got.MostOpen > 16 || got.TurnedAway > 0 {
			t.Errorf("the server saw %d connections at once and turned away %d", got.MostOpen, got.TurnedAway)
		}
	})
	t.Run("threaded, less than configured", func(t *testing.T) {
		checkLeaks(t)
		app, stats := threaded(t, 16)
		app.Args = append(app.Args, "--start", "1")
		addr := startSlowly(t, app)
		startUnderLoad(t, backend{addr: addr, workers: 24}, 64, stats, (*load).mixed)
	})
	t.Run("multiplexing", func(t *testing.T) {
		checkLeaks(t)
		app, stats := goApp(t)
		app.Args = append(app.Args, "--start", "1s")
		addr := startSlowly(t, app)
		if got := startUnderLoad(t, backend{addr: addr, workers: 160}, 160, stats, (*load).reads); got.MostOpen > 144 {
			t.Errorf("it saw %d connections at once: it is not multiplexed", got.MostOpen)
		}
	})
}

// startSlowly waits until the second begins that the application takes: what the machine takes to run the
// program comes before it.
func startSlowly(t *testing.T, app *exec.Cmd) (addr string) {
	t.Helper()
	p, addr := startOnSocket(t, app)
	eventually(t, "the program runs", func() error {
		if !strings.Contains(p.output.String(), "starting") {
			return errNotYet
		}
		return nil
	})
	return addr
}

// startUnderLoad has callers wait for the application, and checks their answers.
func startUnderLoad(t *testing.T, be backend, callers int, stats string, ask func(l *load, caller, i int) question) counters {
	t.Helper()
	url, b := serveBridge(t, be.config())
	l := newLoad(t, url)
	l.callers(t, callers, func(caller, i int) question { return ask(l, caller, i) }, func() {
		countersOf(t, stats)
		pause(t, time.Second)
	})
	l.wantAllRight(t)
	l.wantRunOnce(t)
	got := countersOf(t, stats)
	t.Logf("%+v; %+v", got, b.Snapshot().Pool.Instances[0])
	return got
}
