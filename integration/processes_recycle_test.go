//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// An application that is replaced after so many answers answers everything.
func TestMaxRequests(t *testing.T) {
	t.Parallel()
	const most = 20
	g := startProcesses(t, account{}, troubled(t), "--workers", "4", "--command-max-requests", strconv.Itoa(most))
	lives := g.askUntil(t, 4, "/pid?ms=20")
	for _, l := range lives[:len(lives)-1] {
		if l.answers < most {
			t.Errorf("process %d was replaced after %d answers, want %d", l.pid, l.answers, most)
		}
	}
}

// One that is replaced after a time does, too.
func TestMaxLifetime(t *testing.T) {
	t.Parallel()
	const most = 1500 * time.Millisecond
	g := startProcesses(t, account{}, troubled(t), "--workers", "4", "--command-max-lifetime", most.String())
	lives := g.askUntil(t, 4, "/pid?ms=20")
	began := g.timesOf(t, "the command is running")
	ended := g.timesOf(t, "a process is replaced")
	for _, l := range lives[:len(lives)-1] {
		if d := ended[l.pid].Sub(began[l.pid]); d < most*8/10 || d > most+jitter {
			t.Errorf("process %d was replaced after %v, want %v or a tenth less", l.pid, d, most)
		}
	}
}

// timesOf is when the log said that of each process.
func (g processGate) timesOf(t testing.TB, text string) map[int]time.Time {
	t.Helper()
	times := map[int]time.Time{}
	line := regexp.MustCompile(`(?m)^time=(\S+) .*msg="` + text + `".* pid=(\d+)`)
	for _, m := range line.FindAllStringSubmatch(g.output.String(), -1) {
		at, err := time.Parse(time.RFC3339Nano, m[1])
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		times[pid] = at
	}
	return times
}

// life is what was seen of one process.
type life struct{ pid, answers int }

// askUntil asks a route that answers process ids, by GET and by POST, until it was
// answered by so many processes one after the other, and returns them in the order of
// their first answers. Every request must be answered.
func (g processGate) askUntil(t testing.TB, processes int, route string) (lives []*life) {
	t.Helper()
	g.app.untilServed(t)
	var mu sync.Mutex
	note := func(pid int) (enough bool) {
		mu.Lock()
		defer mu.Unlock()
		for _, l := range lives {
			if l.pid == pid {
				l.answers++
				return len(lives) >= processes
			}
		}
		lives = append(lives, &life{pid, 1})
		return false
	}
	deadline := time.Now().Add(patience)
	var clients sync.WaitGroup
	for i := range 3 {
		method := []string{http.MethodGet, http.MethodPost}[i%2]
		clients.Go(func() {
			for time.Now().Before(deadline) {
				pid, err := g.app.ask(t, method, route)
				if err != nil {
					t.Error(err)
					return
				}
				if note(pid) {
					return
				}
			}
			t.Errorf("only %d processes in %v", len(lives), patience)
		})
	}
	clients.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return lives
}

// ask asks for a process id.
func (s site) ask(t testing.TB, method, route string) (pid int, err error) {
	resp, body, err := s.try(s.request(t, method, route, bytes.NewReader(nil)))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s (Proxy-Status %q): %s", resp.Status, resp.Header.Get("Proxy-Status"), head(body))
	}
	if err == nil {
		pid, err = strconv.Atoi(strings.TrimSpace(body))
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", method, route, err)
	}
	return pid, err
}

// An application that nobody asks anything is ended. It is there again for the first who
// does, and for those who come with it.
func TestIdleShutdown(t *testing.T) {
	t.Parallel()
	g := startProcesses(t, account{}, troubled(t), "--workers", "4", "--command-idle-shutdown", "400ms")
	before := 0
	for range 2 {
		pids := make([]int, 6)
		// While a request is in flight it is not idle.
		long := g.app.inBackground(t, http.MethodGet, "/sleep?s=0.8")
		var clients sync.WaitGroup
		for i := range pids {
			method := []string{http.MethodGet, http.MethodPost}[i%2]
			clients.Go(func() {
				var err error
				if pids[i], err = g.app.ask(t, method, "/pid"); err != nil {
					t.Error(err)
				}
			})
		}
		clients.Wait()
		for _, pid := range pids {
			if pid != pids[0] || pid == before {
				t.Errorf("processes %v have answered; before it was %d", pids, before)
			}
		}
		before = pids[0]
		within(t, "the long request", long).want(t, fmt.Sprintln(before))
		g.awaitChildren(t, 0)
	}
	if log := g.output.String(); strings.Contains(log, "the command has ended") || strings.Contains(log, "a crash loop") {
		t.Errorf("the log calls it a death:\n%s", log)
	}
}

// A request whose body takes longer to come than an application may be idle has it
// started again.
func TestIdleShutdownDuringAnUpload(t *testing.T) {
	t.Parallel()
	g := startProcesses(t, account{}, troubled(t), "--command-idle-shutdown", "200ms")
	half := bytes.Repeat([]byte("half"), 100_000)
	u := newPiecemeal(t.Context(), int64(2*len(half)))
	begun := g.app.put(t, t.Context(), "/body", u)
	for i := range 2 {
		if _, err := u.Write(half); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			g.awaitChildren(t, 0)
		}
	}
	a := within(t, "the answer", begun)
	if a.err != nil {
		t.Fatal(a.err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", a.Status, err, head(string(body)))
	}
	wantBody(t, string(body), slices.Concat(half, half))
}
