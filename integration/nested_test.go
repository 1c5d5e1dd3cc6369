//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// nestedPage is a page that asks its own site, so many deep.
func nestedPage(depth int, ms float64, cookie string) errand {
	var answer strings.Builder
	for d := depth; d >= 0; d-- {
		fmt.Fprintf(&answer, "page %d\n", d)
	}
	return errand{route: fmt.Sprintf("/nested.php?depth=%d&ms=%g", depth, ms), cookie: cookie, answer: answer.String()}
}

// together sends errands at once, and returns when the last one has its answer, which is
// the right one.
func (c *crowd) together(t testing.TB, errands ...errand) time.Duration {
	t.Helper()
	var wg sync.WaitGroup
	began := time.Now()
	for _, e := range errands {
		wg.Go(func() {
			if status, _, err := c.fetch(t.Context(), e); status != http.StatusOK || err != nil {
				t.Errorf("%s: %d, %v", e.route, status, err)
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

func repeat(n int, e errand) []errand {
	list := make([]errand, n)
	for i := range list {
		list[i] = e
	}
	return list
}

// A page asks its own site for another page, which a worker must be free for. A proxy
// that knows nothing of that answers at once as long as workers are free, and never when
// all of them wait for each other.
func TestPagesThatAskTheirOwnSite(t *testing.T) {
	t.Parallel()
	const workers = 8
	start := func(t *testing.T, extra ...string) (*crowd, laneGate) {
		g := startLanes(t, lanesOn, startFPM(t, fpmOptions{root: testdata(t, ""), workers: workers}), extra...)
		return newCrowd(t, g.url), g
	}
	// Nothing waits for long: not for an elder of its kind to count as long (a second), nor
	// for a queue's time-out (three).
	const soon = 900 * time.Millisecond
	t.Run("the first request of all", func(t *testing.T) {
		c, _ := start(t)
		for depth := range 3 {
			if took := c.together(t, nestedPage(depth, 20, "")); took > soon {
				t.Errorf("%d deep: %v", depth, took)
			}
		}
	})
	t.Run("the first three at once", func(t *testing.T) {
		c, _ := start(t)
		if took := c.together(t, repeat(3, nestedPage(1, 20, ""))...); took > soon {
			t.Errorf("%v", took)
		}
	})
	// warm has pages be known, and what short requests need: little.
	warm := func(t *testing.T, c *crowd, g laneGate) {
		eventually(t, "the gate is warm", func() error {
			for range 10 {
				c.together(t, nestedPage(0, 5, ""))
			}
			state, err := g.ask()
			if err == nil && state.Gate.LongCap < workers-2 {
				return errNotYet
			}
			return err
		})
	}
	t.Run("three pages of a session at once", func(t *testing.T) {
		c, g := start(t)
		warm(t, c, g)
		cookie := session("PHPSESSID", 7)
		for range 3 {
			if took := c.together(t, repeat(3, nestedPage(1, 50, cookie))...); took > soon {
				t.Errorf("%v", took)
			}
		}
	})
	t.Run("more pages than workers", func(t *testing.T) {
		for depth := 1; depth <= 2; depth++ {
			c, g := start(t)
			warm(t, c, g)
			for range 3 {
				var all []errand
				for i := range 3 * workers {
					all = append(all, nestedPage(depth, 20, session("PHPSESSID", i)))
				}
				if took := c.together(t, all...); took > 4*soon {
					t.Errorf("%d deep: %v\n%s", depth, took, g.describe())
				}
			}
		}
	})
	t.Run("behind a proxy on this machine", func(t *testing.T) {
		// Everybody comes from there, and it is no worker of the application's.
		c, g := start(t)
		warm(t, c, g)
		proxied := newCrowd(t, startProxy(t, g.url))
		cookie := session("PHPSESSID", 7)
		for range 3 {
			if took := proxied.together(t, repeat(3, nestedPage(1, 50, cookie))...); took > soon {
				t.Errorf("%v", took)
			}
		}
	})
}
