//go:build linux

package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Five thousand tabs poll an application with 16 workers. Those it has no worker for
// wait in the gate, for little memory each, until they are answered or told when to
// come back. Pages do not notice.
func TestFiveThousandPolls(t *testing.T) {
	checkLeaks(t)
	c := startCrowded(t)
	c.learn(t)
	c.alone(t, lasting(5*time.Second, 30*time.Second))
	before := memoryOf(t, c.gate.Process.Pid)
	parked := before
	tabs := c.crowd(t, func(state told) error {
		if state.InFlight < crowded-200 { // some may have been answered by then
			return fmt.Errorf("%d requests are in the gate", state.InFlight)
		}
		parked = memoryOf(t, c.gate.Process.Pid)
		return nil
	})
	c.report(t, tabs, fmt.Sprintf("memory of the gate: %.1f KiB each (PSS %.1f KiB); it grew from %d to %d KiB",
		float64(parked.rss-before.rss)/crowded, float64(parked.pss-before.pss)/crowded, before.rss, parked.rss))
	if tabs.answered == 0 || tabs.atWork < 11 {
		t.Errorf("%d polls were answered, %d in the application, want 12", tabs.answered, tabs.atWork)
	}
	const most = 10 // KiB, while pages come: at rest it is less, see TestCostOfWaiting
	if each := (parked.rss - before.rss) / crowded; each > most {
		t.Errorf("each parked poll takes %d KiB, want at most %d", each, most)
	}
}

// They may all come at once to a gate that has just been started, and does not know
// yet that they are slow.
func TestFiveThousandUnknownPolls(t *testing.T) {
	checkLeaks(t)
	c := startCrowded(t)
	for range 20 { // so that there is something to compare with
		c.pages.goes(t.Context(), time.Now(), errand{route: "/page?ms=5", answer: "page\n"})
	}
	c.alone(t, lasting(5*time.Second, 30*time.Second))
	c.report(t, c.crowd(t, func(told) error { return nil }), "nothing is known of the polls")
}

// crowded is how many tabs there are.
const crowded = 5000

// crowdedApp is a threaded application and its gate, for pages and very many polls.
type crowdedApp struct {
	gate    laneGate
	stats   string
	timeout time.Duration // of polls
	pages   *crowd
	beside  *crowd    // the same pages at the same times, of an application and a gate that have no polls
	begin   time.Time // of the pages alone
	full    time.Time // when the tabs began to come
}

func startCrowded(t testing.TB) *crowdedApp {
	t.Helper()
	be, stats := startThreaded(t, 16)
	c := &crowdedApp{stats: stats, timeout: lasting(8*time.Second, 20*time.Second)}
	c.gate = startLanes(t, lanesOn, be, "--queue-long-timeout", c.timeout.String())
	c.pages = newCrowd(t, c.gate.url)
	other, _ := startThreaded(t, 16)
	c.beside = newCrowd(t, startLanes(t, lanesOn, other).url)
	return c
}

// learn has the gate find out that polls are slow.
func (c *crowdedApp) learn(t *testing.T) {
	first := newCrowd(t, c.gate.url)
	var tabs sync.WaitGroup
	for i := range 12 {
		tabs.Go(func() {
			first.goes(t.Context(), time.Now(), errand{
				route: "/poll?s=1.5", cookie: session("trac_session", 10000+i), answer: "polled\n",
				header: http.Header{"X-Requested-With": {"XMLHttpRequest"}},
			})
		})
	}
	tabs.Wait()
	first.figures().wantAllAnswered(t, "the first polls")
}

// alone has pages come without polls.
func (c *crowdedApp) alone(t *testing.T, length time.Duration) {
	c.begin = time.Now()
	c.come(t.Context(), length)
}

func (c *crowdedApp) come(ctx context.Context, length time.Duration) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, pages := range []*crowd{c.pages, c.beside} {
		all.Go(func() {
			pages.come(ctx, 8, length, func(i int, dice *rand.Rand) errand {
				return page("/page", session("trac_session", i%50), pageTime, dice)
			})
		})
	}
}

// crowdEnd is what became of the tabs.
type crowdEnd struct {
	atWork   int // in the application
	answered int
	told     []time.Duration // when to come back
	state    string          // of the gate
}

// crowd has all tabs poll at once while pages come, until each has an answer.
func (c *crowdedApp) crowd(t *testing.T, there func(told) error) (end crowdEnd) {
	c.full = time.Now()
	ctx, enough := context.WithCancelCause(t.Context())
	defer enough(errLeft)
	var visiting sync.WaitGroup
	visiting.Go(func() { c.come(ctx, time.Hour) })
	tabs := park(t, c.gate.url, crowded, "/poll?s=2")
	eventually(t, "all polls are in the gate", func() error {
		state, err := c.gate.ask()
		if err == nil {
			err = there(state)
		}
		return err
	})
	end.state, end.atWork = c.gate.describe(), countersOf(t, c.stats).Waiting
	end.answered, end.told = tabs.ends(t, c.timeout)
	enough(errLeft)
	visiting.Wait()
	return end
}

// report logs what there is to say, and holds the pages beside polls against those
// without.
func (c *crowdedApp) report(t *testing.T, tabs crowdEnd, more string) {
	t.Helper()
	unloaded, loaded := c.pages.between(c.begin, c.full), c.pages.between(c.full, farAway)
	beside := c.beside.between(c.full, farAway)
	slices.Sort(tabs.told)
	sideBySide(t, fmt.Sprintf("%d polls", crowded), more,
		fmt.Sprintf("polls: %d in the application, %d answered, %d told to come back after %v to %v",
			tabs.atWork, tabs.answered, len(tabs.told), quantile(tabs.told, 0), quantile(tabs.told, 1)),
		"pages before:      "+unloaded.String(),
		"pages meanwhile:   "+loaded.String(),
		"and without polls: "+beside.String())
	t.Log(tabs.state)
	unloaded.wantAllAnswered(t, "pages before")
	loaded.wantAllAnswered(t, "pages meanwhile")
	// What the machine takes for itself in these seconds, it takes from both.
	unloaded.p99 = max(unloaded.p99, lasting(beside.p99, 0))
	loaded.wantAsQuickAs(t, "pages meanwhile", unloaded)
}

// usage is what a process has in memory, in KiB.
type usage struct{ rss, pss int }

var rollup = regexp.MustCompile(`(?m)^(Rss|Pss):\s+(\d+) kB`)

func memoryOf(t testing.TB, pid int) (u usage) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range rollup.FindAllStringSubmatch(string(text), -1) {
		kib, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		if m[1] == "Rss" {
			u.rss = kib
		} else {
			u.pss = kib
		}
	}
	return u
}

// parking is polls on plain connections, which cost the test little.
type parking struct{ conns []net.Conn }

// park opens that many connections and polls on each, as a browser would.
func park(t testing.TB, url string, polls int, route string) *parking {
	t.Helper()
	host := strings.TrimPrefix(url, "http://")
	p := &parking{}
	t.Cleanup(func() {
		for _, c := range p.conns {
			c.Close()
		}
	})
	for i := range polls {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		p.conns = append(p.conns, c)
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n"+pollHeader+"Cookie: %s\r\n\r\n", route, host, session("trac_session", 20000+i)); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	return p
}

const pollHeader = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: */*\r\n" +
	"Accept-Language: en-GB,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"X-Requested-With: XMLHttpRequest\r\n" +
	"Referer: http://app.example.org/wiki/WikiStart\r\n"

// ends reads the answers. It fails on any but a right one and a 503 that says when to
// come back, and on those that take too long.
func (p *parking) ends(t testing.TB, timeout time.Duration) (answered int, told []time.Duration) {
	t.Helper()
	deadline := time.Now().Add(timeout + patience)
	for i, c := range p.conns {
		if err := c.SetReadDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		resp, body, err := readAnswerOf(c)
		switch {
		case err != nil:
			t.Errorf("poll %d: %v", i, err)
		case resp.StatusCode == http.StatusOK && body == "polled\n":
			answered++
		case resp.StatusCode == http.StatusServiceUnavailable && retryAfter(resp.Header) > 0:
			told = append(told, retryAfter(resp.Header))
		default:
			t.Errorf("poll %d: %s, Retry-After %q, %q", i, resp.Status, resp.Header.Get("Retry-After"), head(body))
		}
		if t.Failed() && i > 20 {
			t.Fatal("the rest is not read")
		}
	}
	return answered, told
}

func readAnswerOf(c net.Conn) (*http.Response, string, error) {
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}
