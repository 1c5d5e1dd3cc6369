//go:build linux

package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// from has a crowd come from an address of this machine, over new connections as need be.
func (c *crowd) from(t testing.TB, address string) *crowd {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 4096, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	c.client = &http.Client{Transport: transport, Timeout: 4 * patience}
	return c
}

// flood keeps n connections busy with what next names, until ctx ends. Who is refused
// comes back at once, but for a moment.
func (c *crowd) flood(ctx context.Context, n int, next func(i int) errand) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var sent atomic.Int64
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				c.goes(ctx, time.Now(), next(int(sent.Add(1))))
				_ = sleep(ctx, 100*time.Millisecond) // its end is the loop's
			}
		})
	}
}

// newWord is a word that differs for each i: what looks like a key is no route of its own.
func newWord(i int) string {
	const syllables = "baceditofugalemiropusatevilo"
	var word strings.Builder
	for range 4 {
		at := 2 * (i % (len(syllables) / 2))
		word.WriteString(syllables[at : at+2])
		i /= len(syllables) / 2
	}
	return word.String()
}

// floodScene is a flood of one address, and others at a tenth of their share.
type floodScene struct {
	connections int
	next        func(i int) errand
	warm        bool                                // the page is known before
	others      func(i int, dice *rand.Rand) errand // of another address
	rate        float64
	alone       bool // others may wait for two of the three seconds that they have, where pages are not known
}

// Whatever one address does, others are answered who ask for a tenth of their share of the
// workers: without a cookie, with one of their own, for pages that are known and for pages
// that nobody knows yet.
func TestFloodsRefuseThemselves(t *testing.T) {
	const workers = 8
	known := func(ms int) func(int, *rand.Rand) errand {
		return func(i int, _ *rand.Rand) errand {
			e := errand{route: fmt.Sprintf("/slow.php/known?ms=%d", ms), answer: "page\n"}
			if i%2 == 0 {
				e.cookie = session("PHPSESSID", 1000+i%3)
			}
			return e
		}
	}
	for name, scene := range map[string]floodScene{
		"one address, a page of 100 ms": {
			connections: 280, warm: true, rate: 2,
			next:   func(int) errand { return known(100)(1, nil) },
			others: known(100),
		},
		"one address, a page of 500 ms": {
			connections: 150, warm: true, rate: 1,
			next:   func(int) errand { return known(500)(1, nil) },
			others: known(500),
		},
		"one address, another cookie each time": {
			connections: 280, warm: true, rate: 2,
			next: func(i int) errand {
				e := known(100)(1, nil)
				e.cookie = session("PHPSESSID", 1_000_000+i)
				return e
			},
			others: known(100),
		},
		"random slow pages, after a start": {
			connections: 600, rate: 2, alone: true,
			next: func(i int) errand {
				return errand{route: "/slow.php/" + newWord(i) + "?ms=5000", answer: "page\n"}
			},
			others: func(i int, _ *rand.Rand) errand {
				return errand{route: fmt.Sprintf("/slow.php/page%c?ms=20", 'a'+i%12), answer: "page\n"}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if !scene.alone {
				t.Parallel()
			}
			g := startLanes(t, lanesOn, startFPM(t, fpmOptions{root: testdata(t, ""), workers: workers}))
			others, flood := newCrowd(t, g.url).from(t, "127.0.0.2"), newCrowd(t, g.url).from(t, "127.0.0.3")
			if scene.warm {
				for range 30 {
					if status, _, err := others.fetch(t.Context(), scene.others(0, nil)); status != http.StatusOK || err != nil {
						t.Fatalf("%d, %v", status, err)
					}
				}
			}
			ctx, end := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { flood.flood(ctx, scene.connections, scene.next) })
			_ = sleep(ctx, time.Second)
			others.come(t.Context(), scene.rate, lasting(12*time.Second, time.Minute), scene.others)
			end()
			wg.Wait()
			t.Logf("others: %v\n    the flood: %v\n    %s", others.figures(), flood.figures(), g.describe())
			others.figures().wantAllAnswered(t, "others")
			if f := flood.figures(); f.answered == 0 {
				t.Error("nobody of the flood was answered, although others do not need all workers")
			}
		})
	}
}
