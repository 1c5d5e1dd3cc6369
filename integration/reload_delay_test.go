//go:build linux

package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// inUse is a gate of 100 sites as users have them, which is loaded again or is not.
type inUse struct {
	configured
	apps []string
	dir  string // with what the sites need
}

// asUsersHave writes what 100 sites need into a directory.
func asUsersHave(t testing.TB, dir string) {
	t.Helper()
	ca := newAuthority(t)
	for i := range 100 {
		at := fmt.Sprintf("%s/%d", dir, i)
		write(t, at+"/root/style.css", "body {}")
		write(t, at+"/root/data/secret", "")
		write(t, at+"/users", "jane:$2y$05$wot8qzGfK3Kuum463r7dZe4mD3vkPh6BR22REfLIV3Q7UhuRl8Prq\n")
		ca.issue(t, at+"/site.pem", int64(i+2), fmt.Sprintf("s%d.example.org", i))
	}
}

// load writes the file. Each site, or the application, has a setting that the variant changes.
func (g *inUse) load(t testing.TB, variant int, all bool) {
	t.Helper()
	var b strings.Builder
	b.WriteString("[server]\nlisten = [\"127.0.0.1:0\", \"https://127.0.0.1:0\"]\nstatus = \"127.0.0.1:0\"\naccess_log = \"off\"\n")
	for i, addr := range g.apps {
		fmt.Fprintf(&b, "[[application]]\nname = \"a%d\"\nbackends = [%q]\nworkers = %d\ntimeouts.idle = \"1m\"\n", i, addr, 16+variant)
	}
	for i := range 100 {
		at := fmt.Sprintf("%s/%d", g.dir, i)
		fmt.Fprintf(&b, "[[site]]\napplication = \"a%d\"\nhosts = [\"s%d.example.org\", \"www.s%[2]d.example.org\"]\ntls = { redirect = \"off\", certificate = [\"%s/site.pem\"] }\n", i%len(g.apps), i, at)
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "root = \"%s/root\"\nhide = [\"/data\"]\nstatic_types = [\"zip\"]\n", at)
		case 1:
			fmt.Fprintf(&b, "auth.file = \"%s/users\"\nauth.paths = [\"/login\"]\nlong_poll = [\"/poll/*\"]\n", at)
		case 2:
			b.WriteString("redirect = [\"/old /new 301\", \"/blog/* /b/* 302\"]\nrewrite = [\"/wiki/* /index?title=*\"]\ncompression.scope = \"public\"\n")
		}
		if all {
			fmt.Fprintf(&b, "max_body = \"%dMiB\"\n", 20+variant)
		}
	}
	write(t, g.file+".new", "%s", b.String())
	if err := os.Rename(g.file+".new", g.file); err != nil {
		t.Fatal(err)
	}
}

// asked is a request, and how long it has taken.
type asked struct {
	at   time.Time
	took time.Duration
}

// ask sends a request each tick of its clock on one connection until stop is closed.
func (g *inUse) ask(n int, tick time.Duration, stop <-chan struct{}) (list []asked, err error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	in := bufio.NewReader(c)
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for i := n * 25; ; i++ {
		select {
		case <-stop:
			return list, nil
		case <-clock.C:
		}
		begun, host := time.Now(), fmt.Sprintf("s%d.example.org", i%100)
		if _, err := fmt.Fprintf(c, "GET /x HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
			return list, err
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return list, err
		}
		body, err := io.ReadAll(resp.Body)
		list = append(list, asked{begun, time.Since(begun)})
		if want := fmt.Sprintf("a%d %s /x", i%10, host); err != nil || resp.StatusCode != 200 || string(body) != want {
			return list, errors.Join(err, fmt.Errorf("%s %q, want %q", resp.Status, body, want))
		}
	}
}

// during are the requests that were there between two instants.
func during(list []asked, begun, ended time.Time) (took []time.Duration) {
	for _, r := range list {
		if r.at.Before(ended) && r.at.Add(r.took).After(begun) {
			took = append(took, r.took)
		}
	}
	return took
}

// Two gates with the same 100 sites have the same load, and one of them is loaded again 50 times: its requests
// take as long as the other's. In the figures of a busy machine, the other's are the measure.
func TestReloadDelaysNoRequest(t *testing.T) {
	needProofs(t)
	t.Setenv("GOMAXPROCS", "1") // of the gates: a reload and the requests have one processor
	var apps []string
	for i := range 10 {
		addr, _ := startNamed(t, fmt.Sprintf("a%d", i))
		apps = append(apps, addr)
	}
	dir := t.TempDir()
	asUsersHave(t, dir)
	begin := func() *inUse {
		g := &inUse{configured{file: filepath.Join(t.TempDir(), "sluice.toml")}, apps, dir}
		g.load(t, 0, false)
		g.sluice = runGate(t, socketDir(t), []string{sluiceBinary(), "serve", "--config", g.file})
		m := telling.FindStringSubmatch(g.output.String())
		if m == nil {
			t.Fatalf("no status listener in\n%s", g.output)
		}
		g.status = newSite(t, "http://"+m[1])
		return g
	}
	gate, control := begin(), begin()
	for what, all := range map[string]bool{"an application": false, "all sites": true} {
		stop := make(chan struct{})
		var waits sync.WaitGroup
		var mu sync.Mutex
		of := make(map[*inUse][]asked)
		for i := range 4 {
			for _, g := range []*inUse{gate, control} {
				waits.Go(func() {
					list, err := g.ask(i, 8*time.Millisecond, stop)
					if err != nil {
						t.Errorf("%s: a request: %v", what, err)
					}
					mu.Lock()
					defer mu.Unlock()
					of[g] = append(of[g], list...)
				})
			}
		}
		pause(t, time.Second)
		var reloads []asked
		for i := range 50 {
			gate.load(t, 1+i%2, all)
			begun := time.Now()
			gate.reloaded(t)
			reloads = append(reloads, asked{begun, time.Since(begun)})
			pause(t, 100*time.Millisecond)
		}
		close(stop)
		waits.Wait()
		var took, more, mine, others []time.Duration
		for _, r := range reloads {
			took = append(took, r.took)
			end := r.at.Add(r.took + 5*time.Millisecond) // goroutines that it has begun
			a, b := during(of[gate], r.at, end), during(of[control], r.at, end)
			mine, others = append(mine, a...), append(others, b...)
			if len(a) > 0 && len(b) > 0 {
				more = append(more, slices.Max(a)-slices.Max(b))
			}
		}
		for _, list := range [][]time.Duration{took, more, mine, others} {
			slices.Sort(list)
		}
		half := func(list []time.Duration) time.Duration { return quantile(list, .5).Round(10 * time.Microsecond) }
		t.Logf("50 reloads of 100 sites, %s changed: %v (%v at most); %d requests meanwhile: %v, 99%% within %v, %v at most; of the gate beside it %v, %v, %v; the slowest of a reload took longer than that of the other gate by %v in half of the reloads, by %v at most",
			what, half(took), took[len(took)-1], len(mine), half(mine), quantile(mine, .99), mine[len(mine)-1], half(others), quantile(others, .99), others[len(others)-1], half(more), more[len(more)-1])
		if half(took) > 100*time.Millisecond {
			t.Errorf("%s: half of the reloads take more than %v, want 100 ms at most", what, half(took))
		}
		if half(more) > 5*time.Millisecond {
			t.Errorf("%s: half of the reloads delay a request by %v or more, want 5 ms at most", what, half(more))
		}
	}
}
