//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// httpRecipes are servers that speak HTTP, as Sluice starts them.
var httpRecipes = map[string]struct {
	app   func(testing.TB) *exec.Cmd
	flags []string
}{
	"gunicorn with threads": {
		func(t testing.TB) *exec.Cmd { return wsgi(t, "gunicorn", "-k", "gthread", "--threads", "4") },
		[]string{"--command-socket", "activation"},
	},
	"gunicorn at an address": {
		func(t testing.TB) *exec.Cmd { return wsgi(t, "gunicorn", "--workers", "4", "--bind", "{address}") }, nil,
	},
	"uvicorn": {
		func(t testing.TB) *exec.Cmd { return wsgi(t, "uvicorn", "--interface", "wsgi", "--fd", "3") },
		[]string{"--command-socket", "activation"},
	},
	"waitress at a path": {
		func(t testing.TB) *exec.Cmd { return wsgi(t, "waitress-serve", "--unix-socket={socket}") }, nil,
	},
	"waitress at a port": {
		func(t testing.TB) *exec.Cmd { return wsgi(t, "waitress-serve", "--listen=127.0.0.1:{port}") }, nil,
	},
	"uwsgi": {
		func(t testing.TB) *exec.Cmd { return master(uwsgi(t, "routes.py", 4), "--http-socket", "{socket}") }, nil,
	},
	"node by activation": {node, []string{"--command-socket", "activation"}},
	"node at PORT":       {node, []string{"--command-socket", "port"}},
}

// wsgi is the command of a server that runs routes.py.
func wsgi(t testing.TB, server string, options ...string) *exec.Cmd {
	t.Helper()
	app := exec.Command(need(t, "/usr/bin/"+server, server), append(options, "routes:application")...)
	app.Env = append(os.Environ(), "PYTHONPATH="+testdata(t, ""), "PYTHONPYCACHEPREFIX="+t.TempDir())
	return app
}

func node(t testing.TB) *exec.Cmd {
	t.Helper()
	return exec.Command(need(t, "node", "nodejs"), testdata(t, "routes.js"))
}

// Each instance answers on its socket: from the start, after a restart, and after its processes were
// killed. When Sluice is killed outright, all of them end.
func TestHTTPRecipes(t *testing.T) {
	const instances = 2
	for name, recipe := range httpRecipes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := recipe.app(t)
			flags := append([]string{"--command-instances", fmt.Sprint(instances)}, recipe.flags...)
			g := startProcessesIn(t, account{}, socketDir(t), app, flags...) // the path of a socket must be short
			g.answersDirectly(t, instances)
			g.restart(t)
			groups := g.answersDirectly(t, instances)
			for _, group := range groups {
				killGroup(group)
			}
			for _, group := range groups {
				eventually(t, "the processes are gone", func() error { return wantGroupGone(t, group) })
			}
			groups = g.answersDirectly(t, instances)
			kill(t, g.Process.Pid)
			<-g.ended
			for _, group := range groups {
				t.Cleanup(func() { killGroup(group) })
				eventually(t, "the application has ended", func() error { return wantGroupGone(t, group) })
			}
		})
	}
}

// answersDirectly asks each instance in HTTP, and returns the process groups.
func (g processGate) answersDirectly(t *testing.T, instances int) (groups []int) {
	t.Helper()
	eventually(t, "all instances run", func() error {
		groups = groups[:0]
		p, _ := g.told(t)
		for _, in := range p.Instances {
			if in.PID == 0 {
				return errNotYet
			}
			groups = append(groups, in.PID)
		}
		if len(groups) != instances {
			return fmt.Errorf("instances are %v", p.Instances)
		}
		return nil
	})
	p, _ := g.told(t)
	for _, in := range p.Instances {
		s := newSite(t, "http://"+in.Addr)
		if path, isUnix := strings.CutPrefix(in.Addr, "unix:"); isUnix {
			s = overUnix(t, path)
		}
		s.untilServed(t)
		s.client.CloseIdleConnections()
	}
	return groups
}
