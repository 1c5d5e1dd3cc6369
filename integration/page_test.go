//go:build linux

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	downloads "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
	live "github.com/sluice-proxy/sluice/bridge/page"
)

// startWeb runs an application that answers everything after some milliseconds, and what is below
// /events as late as its clients wait. It is a process of its own: requests of the application's own
// process are nested ones.
func startWeb(t *testing.T) (addr string) {
	t.Helper()
	at := freeAddress(t)
	p := start(t, exec.Command(need(t, "node", "nodejs"), testdata(t, "web.js"), at))
	awaitAddress(t, p, "tcp", at)
	return "http://" + at
}

// pageLoad is clients of an application that run until the test ends.
type pageLoad struct {
	client *http.Client
	ctx    context.Context
	tasks  sync.WaitGroup
}

func startPageLoad(t *testing.T) *pageLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &pageLoad{ctx: ctx, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
	t.Cleanup(func() {
		cancel()
		l.tasks.Wait()
		l.client.CloseIdleConnections()
	})
	return l
}

// get sends a request of a session, and sends it again at intervals if every is not 0.
func (l *pageLoad) get(url, session string, every time.Duration) {
	l.tasks.Go(func() {
		for {
			r, err := http.NewRequestWithContext(l.ctx, http.MethodGet, url, nil)
			if err != nil {
				panic(err)
			}
			r.AddCookie(&http.Cookie{Name: "session", Value: session})
			r.Header.Set("User-Agent", hostile)
			if res, err := l.client.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			if every == 0 {
				return
			}
			select {
			case <-time.After(every):
			case <-l.ctx.Done():
				return
			}
		}
	})
}

// hostile is a text that does something if it becomes markup.
const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`

// statusOf returns the address of the status listener.
func (s sluice) statusOf(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(` status=(127\.0\.0\.1:\d+) `).FindStringSubmatch(s.output.String())
	if m == nil {
		t.Fatal("there is no status listener")
	}
	return "http://" + m[1] + "/"
}

// Long-polls hold the workers that they may, and pages are answered. The page says so in a
// sentence, and shows it, in every size and theme.
func TestPage(t *testing.T) {
	s := startSluice(t, "--backend", startWeb(t), "--workers", "16", "--client-key", "cookie session", "--long-poll", "/events*")
	load := startPageLoad(t)
	for i := range 20 {
		load.get(s.url+"/events", fmt.Sprint("poll ", i), 0)
	}
	for i, path := range []string{"/wiki/Start", "/wiki/Recent", "/search?q=a", "/ticket/12"} {
		load.get(s.url+path, fmt.Sprint("page ", i), 50*time.Millisecond)
	}
	b := startBrowser(t)
	b.open(t, s.statusOf(t))
	b.awaitText(t, "#say-text", "held by long requests for /events")
	b.awaitText(t, "#say-text", "pages are not affected.")
	eventually(t, "the history grows", func() error {
		if n := value[int](t, b, `fetch("view.json").then((r) => r.json()).then((v) => (v.applications[0].history ?? []).length)`); n < 8 {
			return fmt.Errorf("%d points", n)
		}
		return nil
	})

	cells := value[map[string]int](t, b, `Object.fromEntries(["idle", "short", "long", "reserve"].map((c) => [c, document.querySelectorAll("#cells i." + c).length]))`)
	if cells["long"] < 8 || cells["long"] > 12 || cells["reserve"] != 1 || cells["idle"]+cells["short"]+cells["long"] != 16 {
		t.Errorf("cells: %v", cells)
	}
	if rows := value[int](t, b, `document.querySelectorAll("#requests tbody tr").length`); rows < cells["long"] {
		t.Errorf("%d requests in flight are listed", rows)
	}
	for _, theme := range []string{"light", "dark"} {
		for _, width := range []int64{360, 1280, 2560} {
			b.look(t, width, 900, theme)
			b.picture(t, fmt.Sprintf("page-%d-%s", width, theme))
			if over := value[int](t, b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
				t.Errorf("%s at %d px: %d px too wide", theme, width, over)
			}
		}
		wantAccessible(t, b)
	}
	if text := value[string](t, b, "document.documentElement.outerHTML"); strings.Contains(text, "?q=") || strings.Contains(text, "poll 1") {
		t.Error("the page has query strings or cookies")
	}
	b.mustNotComplain(t)
}

// wantAccessible checks that axe-core finds nothing, with the tables of the charts open.
func wantAccessible(t *testing.T, b *browser) {
	t.Helper()
	axe, err := os.ReadFile(testdata(t, "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	value[bool](t, b, `document.querySelectorAll("details").forEach((d) => { d.open = true; }); true`)
	value[bool](t, b, string(axe)+"; true")
	found := value[[]string](t, b, `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.html.slice(0, 200) + " " + n.failureSummary)))`)
	for _, f := range found {
		t.Error(f)
	}
	value[bool](t, b, `document.querySelectorAll("details").forEach((d) => { d.open = false; }); true`)
}

// The tables are sorted and filtered, the address says how, and a frozen page stays as it is.
func TestPageTables(t *testing.T) {
	t.Parallel()
	s := startSluice(t, "--backend", startWeb(t), "--workers", "16", "--client-key", "cookie session", "--long-poll", "/events*")
	load := startPageLoad(t)
	for i := range 6 {
		load.get(fmt.Sprintf("%s/events/%c", s.url, 'a'+i), fmt.Sprint(i), 0)
	}
	b := startBrowser(t)
	b.open(t, s.statusOf(t))
	listed := func(what string, n int, route string) {
		t.Helper()
		eventually(t, what, func() error {
			routes := value[[]string](t, b, `Array.from(document.querySelectorAll("#requests tbody tr td.route"), (c) => c.textContent)`)
			if len(routes) != n || !strings.HasSuffix(routes[0], route) {
				return fmt.Errorf("%q, want %d, the first of which is %s", routes, n, route)
			}
			return nil
		})
	}
	for c := 'a'; c <= 'f'; c++ {
		b.awaitText(t, "#requests tbody", fmt.Sprintf("/events/%c", c))
	}
	b.click(t, "#requests th:nth-child(4) button")
	listed("requests sorted by route", 6, "/events/a")
	b.click(t, "#requests th:nth-child(4) button")
	listed("requests the other way round", 6, "/events/f")
	act(t, b, chromedp.SendKeys(chromedp.CSS("#filter-requests"), "events/c"))
	listed("requests that are filtered", 1, "/events/c")
	if hash := value[string](t, b, "location.hash"); !strings.Contains(hash, "sort.requests=route-") || !strings.Contains(hash, "filter.requests=events%2Fc") {
		t.Errorf("the address is %s", hash)
	}

	b.click(t, "#freeze")
	b.awaitText(t, "#link-state", "Frozen")
	before := value[string](t, b, `document.querySelector("main").innerText`)
	time.Sleep(2500 * time.Millisecond) // two states, if there were any
	if after := value[string](t, b, `document.querySelector("main").innerText`); after != before {
		t.Errorf("a frozen page has changed from\n%s\nto\n%s", before, after)
	}
	if n := s.viewers(t); n != 0 {
		t.Errorf("a frozen page is still one of %d viewers", n)
	}

	dir := t.TempDir()
	do(t, b, downloads.SetDownloadBehavior, downloads.SetDownloadBehaviorParams{Behavior: downloads.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir})
	b.click(t, "#save")
	wantSelfContained(t, dir)
	b.click(t, "#freeze")
	b.awaitText(t, "#link-state", "Live")
	b.mustNotComplain(t)
}

// viewers is how many connections to the status listener are in use, but for the one that asks.
func (s sluice) viewers(t *testing.T) int {
	t.Helper()
	var status struct {
		Front struct {
			StatusConnections struct{ Open, Idle int } `json:"status_connections"`
		}
	}
	res, err := http.Get(s.statusOf(t) + "status.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
		t.Fatal(err)
	}
	return status.Front.StatusConnections.Open - status.Front.StatusConnections.Idle - 1
}

// wantSelfContained checks the file that the page was saved as.
func wantSelfContained(t *testing.T, dir string) {
	t.Helper()
	var text string
	eventually(t, "the page is saved", func() error {
		files, err := filepath.Glob(filepath.Join(dir, "sluice-*.html"))
		if err != nil || len(files) != 1 {
			return fmt.Errorf("files: %v, %v", files, err)
		}
		content, err := os.ReadFile(files[0])
		text = string(content)
		return err
	})
	for _, want := range []string{"/events/c", "data:image/png", "<style>", "default-src 'none'", "worker"} {
		if !strings.Contains(text, want) {
			t.Errorf("the file does not have %q", want)
		}
	}
	if outside := regexp.MustCompile(`<script|<link|src="(?:[^d]|d[^a])|url\(`).FindString(text); outside != "" {
		t.Errorf("the file is not self-contained: %q", outside)
	}
}

// What is clicked while the history is on its way leaves one stream.
func TestPageHasOneStream(t *testing.T) {
	t.Parallel()
	s := startSluice(t, "--backend", startWeb(t), "--workers", "4")
	b := startBrowser(t)
	b.open(t, s.statusOf(t))
	b.awaitText(t, "#link-state", "Live")
	value[bool](t, b, `["a=1", "a=2", "a=3"].forEach((hash) => { location.hash = hash; }); true`)
	time.Sleep(time.Second) // for the others, if there were any
	eventually(t, "the page has one stream", func() error {
		if n := s.viewers(t); n != 1 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	b.mustNotComplain(t)
}

// After a restart of the gate the page goes on by itself, with the new history.
func TestPageReconnects(t *testing.T) {
	t.Parallel()
	app, status := startWeb(t), freeAddress(t)
	s := startSluice(t, "--backend", app, "--workers", "4", "--status", status)
	b := startBrowser(t)
	b.open(t, "http://"+status+"/")
	b.awaitText(t, "#say-text", "All is well")
	_ = s.Process.Kill()
	<-s.ended
	b.awaitText(t, "#link-state", "Not connected")
	startSluice(t, "--backend", app, "--workers", "7", "--status", status)
	b.awaitText(t, "#link-state", "Live")
	b.awaitText(t, "#say-text", "of 7 workers")
	b.mustNotComplain(t)
}

// What clients and programs say is shown as text.
func TestPageShowsHostileTextAsText(t *testing.T) {
	t.Parallel()
	// The command serves nothing, and ends with a line that is markup.
	script := fmt.Sprintf("sleep 1; echo %s >&2; exit 3", shellQuoted(hostile))
	s := startSluice(t, "--workers", "2", "--", "/bin/sh", "-c", script)
	load := startPageLoad(t)
	load.get(s.url+"/%3Cimg%20src=x%20onerror=alert(1)%3E/"+strings.Repeat("x", 50), "a", 200*time.Millisecond)
	b := startBrowser(t)
	b.open(t, s.statusOf(t))
	b.awaitText(t, "#events tbody", "exit status 3")
	b.awaitText(t, "#events pre", hostile)
	if n := value[int](t, b, `document.querySelectorAll("main img, main script").length`); n != 0 {
		t.Errorf("%d elements were made of text", n)
	}
	if title := value[string](t, b, "document.title"); strings.Contains(title, "owned") {
		t.Error("a text was run")
	}
	b.picture(t, "page-crash")
	b.mustNotComplain(t)
}

func shellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// A page with thousands of requests in flight stays quick: it has no task of 50 ms, which a user would
// notice.
func TestPageWithManyRequests(t *testing.T) {
	const many = 5000
	// The clients are in this process, without connections: there are not descriptors for all.
	h, err := bridge.New(t.Context(), bridge.Config{ApplicationConfig: bridge.ApplicationConfig{
		Backends: []string{startWeb(t)}, Workers: many + 1000, Lanes: config.Off,
		Queue: config.Queue{Timeout: config.Duration(patience)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	for i := range many {
		clients.Go(func() {
			defer func() { // how a Handler cuts the connection of a client that has left
				if cut := recover(); cut != nil && cut != http.ErrAbortHandler {
					panic(cut)
				}
			}()
			for ctx.Err() == nil { // while the application is slow to accept so many, some are refused
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("/events/%c", 'a'+i%20), nil))
			}
		})
	}
	p := live.New(live.Options{Applications: func() []live.Named { return []live.Named{{Name: "web", Application: h.Application()}} }})
	server := httptest.NewServer(p)
	defer server.Close()
	defer p.Close()
	b := startBrowser(t)
	b.open(t, server.URL+"/")
	b.awaitText(t, "#requests .note", fmt.Sprint("of ", many))
	b.picture(t, "page-5000")
	b.click(t, "#requests .more")
	b.awaitText(t, "#requests .more", "Show 50")
	// The machine may be busy with the tests of other packages, and the length of a task includes what they take: one
	// quiet window is enough.
	longest := 0.0
	for range 8 {
		longest = value[float64](t, b, `new Promise((done) => {
			let longest = 0;
			const observer = new PerformanceObserver((list) => { for (const e of list.getEntries()) longest = Math.max(longest, e.duration); });
			observer.observe({ type: "longtask" });
			setTimeout(() => { observer.disconnect(); done(longest); }, 4000);
		})`)
		t.Logf("the longest task within four states took %.0f ms (0: less than 50)", longest)
		if longest < 50 {
			break
		}
	}
	if longest >= 50 {
		t.Errorf("a task took %.0f ms", longest)
	}
	b.mustNotComplain(t)
}

// Web pages of other origins, and those whose host name leads here, get nothing.
func TestPageIsForItsOwnOrigin(t *testing.T) {
	s := startSluice(t, "--backend", startWeb(t), "--workers", "4")
	for _, path := range []string{"view.json", "stream"} {
		for name, header := range map[string]http.Header{
			"another origin": {"Origin": {"http://evil.example"}},
			"another site":   {"Sec-Fetch-Site": {"cross-site"}},
			"another host":   {"Host": {"evil.example"}},
		} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.statusOf(t)+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header, r.Host = header, header.Get("Host")
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusForbidden && res.StatusCode != http.StatusMisdirectedRequest {
				t.Errorf("%s by %s: %d", path, name, res.StatusCode)
			}
		}
	}
	// The stream ends with the gate, and does not hold up its end.
	res, err := http.Get(s.statusOf(t) + "stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	begun := time.Now()
	s.signal(t, syscall.SIGTERM)
	if err := s.wait(t); err != nil {
		t.Errorf("the gate ended with %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the gate took %v to end", took)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		if _, closed := err.(net.Error); closed {
			t.Error(err)
		}
	}
}
