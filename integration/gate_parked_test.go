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
	const polls, rate = 5000, 8
	timeout := lasting(8*time.Second, 20*time.Second)
	be, stats := startThreaded(t, 16)
	gate := startLanes(t, lanesOn, be, "--queue-long-timeout", timeout.String())
	pages := newCrowd(t, gate.url)
	visitor := func(i int, dice *rand.Rand) errand { return page("/page", session("trac_session", i%50), dice) }

	// The gate learns what the two are.
	begin := time.Now()
	var first sync.WaitGroup
	for i := range 12 {
		first.Go(func() {
			pages.goes(t.Context(), time.Now(), errand{
				route: "/poll?s=1.5", cookie: session("trac_session", 10000+i), answer: "polled\n",
				header: http.Header{"X-Requested-With": {"XMLHttpRequest"}},
			})
		})
	}
	first.Wait()
	pages.between(begin, time.Now()).wantAllAnswered(t, "the first polls")
	alone := time.Now()
	pages.come(t.Context(), rate, lasting(6*time.Second, 30*time.Second), visitor)

	before := memoryOf(t, gate.Process.Pid)
	crowded := time.Now()
	ctx, enough := context.WithCancelCause(t.Context())
	var visiting sync.WaitGroup
	visiting.Go(func() { pages.come(ctx, rate, time.Minute, visitor) })
	tabs := park(t, gate.url, polls, "/poll?s=2")
	var parked usage
	eventually(t, "all polls are in the gate", func() error {
		state, err := gate.ask()
		if err == nil && state.InFlight < polls-200 { // some may have been answered by then
			return fmt.Errorf("%d requests are in the gate", state.InFlight)
		}
		parked = memoryOf(t, gate.Process.Pid)
		return err
	})
	took := time.Since(crowded)
	t.Log(gate.describe())
	atWork := countersOf(t, stats).Waiting
	answered, told := tabs.ends(t, timeout)
	enough(errLeft)
	visiting.Wait()

	unloaded, loaded := pages.between(alone, crowded), pages.between(crowded, farAway)
	sideBySide(t, fmt.Sprintf("%d polls", polls),
		fmt.Sprintf("memory of the gate: %.1f KiB each (PSS %.1f KiB; it grew from %d to %d KiB), all there after %v",
			float64(parked.rss-before.rss)/polls, float64(parked.pss-before.pss)/polls, before.rss, parked.rss, took.Round(time.Millisecond)),
		fmt.Sprintf("polls: %d in the application, %d answered, %d told to come back, after %v to %v", atWork, answered, len(told), slices.Min(told), slices.Max(told)),
		"pages before:      "+unloaded.String(),
		"pages meanwhile:   "+loaded.String())
	unloaded.wantAllAnswered(t, "pages before")
	loaded.wantAllAnswered(t, "pages meanwhile")
	loaded.wantAsQuickAs(t, "pages meanwhile", unloaded)
	if answered == 0 || atWork < 11 {
		t.Errorf("%d polls were answered, %d in the application, want 12", answered, atWork)
	}
	const most = 24 // KiB; the aim is 12, and the collector may be late
	if each := (parked.rss - before.rss) / polls; each > most {
		t.Errorf("each parked poll takes %d KiB, want at most %d", each, most)
	}
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
