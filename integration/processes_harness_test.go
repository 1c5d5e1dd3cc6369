//go:build linux

package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// account is whom sluice runs as.
type account struct {
	name string
	by   []string // what becomes it; nil: nothing needs to
}

// accounts are root and an ordinary user, or whoever runs the tests.
func accounts(t testing.TB) []account {
	t.Helper()
	ourselves := account{name: "as we are"}
	if os.Geteuid() != 0 {
		return []account{ourselves}
	}
	// What is there to make it run without privileges must be found by it.
	if err := os.Chmod(filepath.Dir(sluiceBinary()), 0o755); err != nil {
		t.Fatal(err)
	}
	nobody := account{"nobody", []string{need(t, "setpriv"), "--reuid=nobody", "--regid=nogroup", "--clear-groups"}}
	return []account{ourselves, nobody}
}

// dir is a private directory of the account's.
func (a account) dir(t testing.TB) string {
	t.Helper()
	dir := socketDir(t)
	if a.by == nil {
		return dir
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(nobody.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	return dir
}

// eachAccount runs a test for each account at the same time.
func eachAccount(t *testing.T, test func(*testing.T, account)) {
	t.Parallel()
	for _, who := range accounts(t) {
		t.Run(who.name, func(t *testing.T) {
			t.Parallel()
			test(t, who)
		})
	}
}

// troubled is the command for testdata/troubles.py with those options. Everybody can
// read it.
func troubled(t testing.TB, options ...string) *exec.Cmd {
	t.Helper()
	return python(t, "troubles.py", options...)
}

func python(t testing.TB, program string, options ...string) *exec.Cmd {
	t.Helper()
	dir := socketDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"threaded.py", "routes.py", "wsgi.py", "troubles.py"} {
		text, err := os.ReadFile(testdata(t, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), "%s", text)
	}
	// Debian's own, which everybody may run.
	return exec.Command(need(t, "/usr/bin/python3", "python3"), append([]string{filepath.Join(dir, program)}, options...)...)
}

// processGate is a gate that runs its application, and its two listeners as clients see
// them.
type processGate struct {
	sluice
	app, status site
}

// startProcesses runs sluice serve with those flags in front of a command. In the end,
// sluice is told to end, and nothing of the command may be left then.
func startProcesses(t testing.TB, who account, app *exec.Cmd, flags ...string) processGate {
	t.Helper()
	return startProcessesIn(t, who, who.dir(t), app, flags...)
}

func startProcessesIn(t testing.TB, who account, dir string, app *exec.Cmd, flags ...string) processGate {
	t.Helper()
	for _, kv := range app.Env {
		if !slices.Contains(os.Environ(), kv) {
			flags = append(flags, "--command-env", kv)
		}
	}
	flags = append(append(flags, "--", app.Path), app.Args[1:]...)
	g := processGate{sluice: startGateAs(t, who.by, dir, flags...)}
	g.app = newSite(t, g.url)
	m := telling.FindStringSubmatch(g.output.String())
	if m == nil {
		t.Fatalf("no status listener in\n%s", g.output)
	}
	g.status = newSite(t, "http://"+m[1])
	t.Cleanup(func() { g.end(t) })
	return g
}

// lanes is the gate in it.
func (g processGate) lanes() laneGate { return laneGate{g.sluice, g.status.url} }

// end ends sluice, if nobody has, and checks that its application ends with it.
func (g processGate) end(t testing.TB) {
	t.Helper()
	if closed(g.ended) {
		return
	}
	g.app.client.CloseIdleConnections()
	g.status.client.CloseIdleConnections()
	kids := children(t, g.Process.Pid)
	g.signal(t, syscall.SIGTERM)
	if err := g.wait(t); err != nil {
		t.Errorf("sluice ended with %v", err)
	}
	for _, pid := range kids {
		eventually(t, "the application has ended", func() error { return wantGroupGone(t, pid) })
	}
}

// processesTold is what a gate tells of its application's processes, as far as these
// tests look at it.
type processesTold struct {
	Breaker string `json:"breaker"`
	Storm   struct {
		On     bool `json:"on"`
		Deaths int  `json:"deaths"`
	} `json:"storm"`
	Memory struct {
		Kind string `json:"kind"`
		Used uint64 `json:"used_bytes"`
	} `json:"memory"`
	Suspects  []suspectTold  `json:"suspects"`
	Instances []instanceTold `json:"instances"`
}

type suspectTold struct {
	Route        string    `json:"route"`
	Deaths       int       `json:"deaths"`
	Answered     int       `json:"answered"`
	RefusedUntil time.Time `json:"refused_until"`
}

type instanceTold struct {
	Addr     string `json:"addr"`
	PID      int    `json:"pid"`
	State    string `json:"state"`
	Restarts int    `json:"restarts"`
	Answered int    `json:"answered"`
}

// told asks the gate for the state of the processes, and for the text it is in.
func (g processGate) told(t testing.TB) (processesTold, string) {
	t.Helper()
	text := g.status.get(t, "/status.json")
	var s struct {
		Processes json.RawMessage `json:"processes"`
	}
	var p processesTold
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("status.json: %v\n%s", err, head(text))
	}
	if err := json.Unmarshal(s.Processes, &p); err != nil {
		t.Fatalf("status.json: %v\n%s", err, head(string(s.Processes)))
	}
	return p, string(s.Processes)
}

// hasCgroups reports whether the kernel bounds what the processes use, and knows them
// however they hide. It depends on the machine, and on whom sluice runs as.
func (g processGate) hasCgroups(t testing.TB) bool {
	t.Helper()
	p, _ := g.told(t)
	return strings.HasPrefix(p.Memory.Kind, "cgroup")
}

// restart has the application replaced, and waits until it is.
func (g processGate) restart(t testing.TB) {
	t.Helper()
	if resp, body := g.askRestart(t); resp.StatusCode != http.StatusOK {
		t.Fatalf("POST /restart: %s\n%s", resp.Status, head(body))
	}
}

func (g processGate) askRestart(t testing.TB) (*http.Response, string) {
	t.Helper()
	return g.status.do(t, g.status.request(t, http.MethodPost, "/restart", nil))
}

// restartBySignal has the application replaced by SIGUSR2, and waits until it is.
func (g processGate) restartBySignal(t testing.TB) {
	t.Helper()
	before := children(t, g.Process.Pid)
	g.signal(t, syscall.SIGUSR2)
	eventually(t, "other processes run in place of those there were", func() error {
		now := children(t, g.Process.Pid)
		if len(now) != len(before) || slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(before, pid) }) {
			return fmt.Errorf("there were %v, there are %v", before, now)
		}
		return nil
	})
}

// awaitChildren waits until the gate has that many, and returns them.
func (g processGate) awaitChildren(t testing.TB, n int) (kids []int) {
	t.Helper()
	eventually(t, fmt.Sprintf("sluice has %d children", n), func() error {
		if kids = children(t, g.Process.Pid); len(kids) != n {
			return fmt.Errorf("it has %v", kids)
		}
		return nil
	})
	return kids
}

// pidOf asks for a process id, by way of a route that answers one.
func (s site) pidOf(t testing.TB, route string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(s.get(t, route)))
	if err != nil {
		t.Fatalf("GET %s: %v", route, err)
	}
	return pid
}

// refused fails unless a request is refused with that status.
func (g processGate) refused(t testing.TB, method, route string, status int) {
	t.Helper()
	resp, body := g.app.do(t, g.app.request(t, method, route, nil))
	if resp.StatusCode != status {
		t.Errorf("%s %s: %s, want %d\n%s", method, route, resp.Status, status, head(body))
	}
	if status == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s %s: no Retry-After", method, route)
	}
}

// inBackground sends a request and delivers its outcome.
func (s site) inBackground(t testing.TB, method, route string) <-chan outcome {
	t.Helper()
	return s.deliver(s.request(t, method, route, nil))
}

// kill kills a process, which must be there.
func kill(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// killGroup kills what is left of a process group.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
