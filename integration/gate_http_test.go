//go:build linux

package integration

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// pagesServers serve testdata/pages.py with so many threads.
var pagesServers = map[string]func(testing.TB, int) (be backend, stats string){
	"gunicorn": startGunicornPages,
	"uwsgi":    startUWSGIPages,
}

func startGunicornPages(t testing.TB, threads int) (be backend, stats string) {
	t.Helper()
	stats = filepath.Join(socketDir(t), "stats.sock")
	be = startGunicorn(t, "pages", threads, "--threads", strconv.Itoa(threads), "--env", "PAGES_STATS="+stats)
	countersOf(t, stats)
	return be, stats
}

func startUWSGIPages(t testing.TB, threads int) (be backend, stats string) {
	t.Helper()
	addr, stats := freeAddress(t), filepath.Join(socketDir(t), "stats.sock")
	p := start(t, uwsgi(t, "pages.py", threads, "--http-socket", addr, "--env", "PAGES_STATS="+stats))
	awaitAddress(t, p, "tcp", addr)
	countersOf(t, stats)
	return backend{addr: "http://" + addr, workers: threads, process: p, isHTTP: true}, stats
}

// The proof of TestPollsDrownNobody for servers that speak HTTP.
func TestPollsDrownNobodyOverHTTP(t *testing.T) {
	for name, app := range pagesServers {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // so few requests do not disturb each other
			length := lasting(25*time.Second, 2*time.Minute)
			alone := pollScene{name: "lanes, no polls", app: app, kind: lanesOn, rate: 8, mean: pageTime, length: length}
			withPolls := pollScene{name: "lanes, 24 polls", app: app, kind: lanesOn, polls: 24, rate: 8, mean: pageTime, length: length}
			inLine := pollScene{name: "FIFO, 24 polls", app: app, kind: lanesOff, polls: 24, rate: 8, mean: pageTime, length: length}
			playAll(t, &alone, &withPolls, &inLine)
			compare(t, &alone, &withPolls, &inLine)
			withPolls.asked.wantAllAnswered(t, "polls through lanes")
			if withPolls.atWork < 11 { // 16 less the reserve of 4 is 12
				t.Errorf("%.1f polls were at work, want 12", withPolls.atWork)
			}
		})
	}
}

// The proof of TestSessionLocksOnlyItsOwner for servers that speak HTTP, with 16 threads.
func TestSessionLocksOnlyItsOwnerOverHTTP(t *testing.T) {
	for name, app := range pagesServers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compareSessions(t, startLanes, "/tab", errand{route: "/page?ms=1", answer: "page\n"}, func() backend {
				be, _ := app(t, 16)
				return be
			})
		})
	}
}
