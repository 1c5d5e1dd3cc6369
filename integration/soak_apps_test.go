//go:build linux

package integration

import (
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
)

// replaceable is an application's process that is killed and started again. Unlike
// start it forgets those that have ended: in a long soak, ids come around.
type replaceable struct {
	command func() *exec.Cmd
	cmd     *exec.Cmd
	output  *tail
}

// startReplaceable starts the command's process, and ends the last one with the test.
func startReplaceable(t testing.TB, command func() *exec.Cmd) *replaceable {
	t.Helper()
	r := &replaceable{command: command, output: &tail{}}
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.end()
		if t.Failed() {
			t.Logf("output of %s:\n%s", filepath.Base(r.cmd.Path), r.output)
		}
	})
	return r
}

func (r *replaceable) start() error {
	r.cmd = r.command()
	r.cmd.Stdout, r.cmd.Stderr = r.output, r.output
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	r.cmd.WaitDelay = patience
	return r.cmd.Start()
}

// end kills the process, and what it started.
func (r *replaceable) end() {
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	_ = r.cmd.Wait() // it was killed
}

// soakOn runs an application on a socket that stays open while it is replaced.
func soakOn(t *testing.T, name string, app *exec.Cmd, be backend) *soakApp {
	t.Helper()
	socket, addr := listenUnix(t)
	be.addr = addr
	return soakReplaceable(t, name, be, func() *exec.Cmd {
		cmd := exec.Command(app.Path, app.Args[1:]...)
		cmd.Env, cmd.Stdin = app.Env, socket
		return cmd
	})
}

// soakReplaceable runs an application that dies whole and is started again.
func soakReplaceable(t *testing.T, name string, be backend, command func() *exec.Cmd) *soakApp {
	t.Helper()
	r := startReplaceable(t, command)
	a := newSoakApp(t, name, be, be.config())
	a.pid = func(testing.TB) int { return r.cmd.Process.Pid }
	a.kill = func(t testing.TB) {
		r.end()
		if err := r.start(); err != nil {
			t.Fatalf("start %s again: %v", name, err)
		}
	}
	return a
}

func newSoakApp(t *testing.T, name string, be backend, cfg bridge.Config) *soakApp {
	t.Helper()
	url, b := serveBridge(t, cfg)
	a := &soakApp{load: newLoad(t, url+be.prefix), name: name, bridge: b}
	a.ask = func(method string, body []byte) question {
		return a.once(method, body, len(body)%8)
	}
	return a
}

// soakFPM loses single workers; its master replaces them, and itself.
func soakFPM(t *testing.T) *soakApp {
	t.Helper()
	be := startFPM(t, fpmOptions{root: testdata(t, ""), workers: 4, pool: "pm.max_requests = 20\n"})
	be.prefix = "/once.php"
	a := newSoakApp(t, "php-fpm", be, be.config())
	a.pid = func(t testing.TB) (worker int) {
		eventually(t, "php-fpm has workers", func() error {
			workers := children(t, be.process.Process.Pid)
			if len(workers) == 0 {
				return errNotYet
			}
			worker = workers[rand.IntN(len(workers))]
			return nil
		})
		return worker
	}
	a.kill = func(t testing.TB) { a.signal(t, a.pid(t), syscall.SIGKILL) }
	a.reload = func(t *testing.T) { reload(t, be.process) }
	return a
}

func soakThreaded(t *testing.T) *soakApp {
	t.Helper()
	app, _ := threaded(t, 4)
	return soakOn(t, "threaded.py", app, backend{workers: 4})
}

func soakLibfcgi(t *testing.T) *soakApp {
	t.Helper()
	a := soakOn(t, "libfcgi", libfcgi(t, 4), backend{workers: 4})
	a.askRoutes()
	return a
}

func soakUWSGI(t *testing.T) *soakApp {
	t.Helper()
	be := startUWSGI(t, 4) // once, for its command line
	_ = be.process.Process.Kill()
	<-be.process.ended
	a := soakReplaceable(t, "uwsgi", be, func() *exec.Cmd {
		return exec.Command(be.process.Path, be.process.Args[1:]...)
	})
	a.askRoutes()
	return a
}

func soakGo(t *testing.T) *soakApp {
	t.Helper()
	app, _ := goApp(t)
	return soakOn(t, "go, multiplexed", app, backend{workers: 16})
}

// askRoutes asks for what every application serves; they keep no ledger, and
// answer HEAD with no nonce.
func (a *soakApp) askRoutes() {
	a.ask = func(method string, body []byte) question {
		if method == http.MethodHead {
			method = http.MethodGet
		}
		return a.echo(method, body)
	}
}
