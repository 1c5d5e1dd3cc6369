//go:build linux

package integration

import (
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// counters are what a backend of testdata counts itself.
type counters struct {
	Accepted   int `json:"accepted"`
	Open       int `json:"open"`
	MostOpen   int `json:"most_open"`
	TurnedAway int `json:"turned_away"`
	Unnoticed  int `json:"unnoticed"` // of those turned away, when a connection that had a thread was closed by its client already
	Waiting    int `json:"waiting"`
}

// ask reads the counters from the socket that tells them.
func (c *counters) ask(path string) error {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	*c = counters{}
	return json.Unmarshal(text, c)
}

func countersOf(t testing.TB, path string) (c counters) {
	t.Helper()
	eventually(t, "the backend tells its counters", func() error { return c.ask(path) })
	return c
}

// threaded is the command for testdata/threaded.py, whose listening socket is fd 0.
func threaded(t testing.TB, threads int, options ...string) (app *exec.Cmd, stats string) {
	t.Helper()
	stats = filepath.Join(socketDir(t), "stats.sock")
	options = append([]string{testdata(t, "threaded.py"), "--threads", strconv.Itoa(threads), "--stats", stats}, options...)
	return exec.Command(need(t, "python3"), options...), stats
}

// startThreaded waits until the server accepts; see TestSlowStart for one that does
// not yet.
func startThreaded(t testing.TB, threads int) (be backend, stats string) {
	t.Helper()
	return startThreadedWith(t, threads)
}

func startThreadedWith(t testing.TB, threads int, options ...string) (be backend, stats string) {
	t.Helper()
	app, stats := threaded(t, threads, options...)
	p, addr := startOnSocket(t, app)
	countersOf(t, stats)
	return backend{addr: addr, workers: threads, process: p}, stats
}

// startGoApp serves testdata/goapp, which multiplexes, from a process of its own.
func startGoApp(t testing.TB, workers int) (be backend, stats string) {
	t.Helper()
	app, stats := goApp(t)
	p, addr := startOnSocket(t, app)
	return backend{addr: addr, workers: workers, process: p, ownVars: true}, stats
}

// goApp is the command for testdata/goapp, whose listening socket is fd 0.
func goApp(t testing.TB) (app *exec.Cmd, stats string) {
	t.Helper()
	dir := socketDir(t)
	binary, stats := filepath.Join(dir, "goapp"), filepath.Join(dir, "stats.sock")
	run(t, exec.Command("go", "build", "-o", binary, "./testdata/goapp"))
	return exec.Command(binary, "--stats", stats), stats
}
