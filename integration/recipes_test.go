//go:build linux

package integration

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// recipes are the commands of docs/protocols.md. They get their sockets in all the ways there are.
var recipes = map[string]func(testing.TB) (app *exec.Cmd, be backend){
	"uwsgi at a path": func(t testing.TB) (*exec.Cmd, backend) {
		return master(uwsgi(t, "routes.py", 4), "--socket", "{socket}"), backend{workers: 4, protocol: config.UWSGI}
	},
	"uwsgi at a port": func(t testing.TB) (*exec.Cmd, backend) {
		return master(uwsgi(t, "routes.py", 2), "--processes", "2", "--socket", "127.0.0.1:{port}"), backend{workers: 4, protocol: config.UWSGI}
	},
	"php-cgi at a path": func(t testing.TB) (*exec.Cmd, backend) {
		app := phpCGI(t, 4)
		app.Args = append(app.Args, "-b", "{socket}")
		return app, backend{workers: 4, preset: "php", root: testdata(t, ""), prefix: "/routes.php"}
	},
	"gunicorn with threads": func(t testing.TB) (*exec.Cmd, backend) { // by activation
		return wsgi(t, "gunicorn", "-k", "gthread", "--threads", "4"), backend{workers: 4, protocol: config.HTTP}
	},
	"gunicorn at an address": func(t testing.TB) (*exec.Cmd, backend) {
		return wsgi(t, "gunicorn", "--workers", "4", "--bind", "{address}"), backend{workers: 4, protocol: config.HTTP}
	},
	"uvicorn": func(t testing.TB) (*exec.Cmd, backend) { // by activation
		return wsgi(t, "uvicorn", "--interface", "wsgi", "--fd", "3"), backend{workers: 4, protocol: config.HTTP}
	},
	"waitress at a path": func(t testing.TB) (*exec.Cmd, backend) {
		return wsgi(t, "waitress-serve", "--threads=4", "--unix-socket={socket}"), backend{workers: 4, protocol: config.HTTP}
	},
	"waitress at a port": func(t testing.TB) (*exec.Cmd, backend) {
		return wsgi(t, "waitress-serve", "--threads=4", "--listen=127.0.0.1:{port}"), backend{workers: 4, protocol: config.HTTP}
	},
	"node by activation": func(t testing.TB) (*exec.Cmd, backend) { return node(t), backend{workers: 4, protocol: config.HTTP} },
	"node at PORT": func(t testing.TB) (*exec.Cmd, backend) {
		return node(t), backend{workers: 4, protocol: config.HTTP, socket: config.SocketPort}
	},
	"uwsgi in HTTP": func(t testing.TB) (*exec.Cmd, backend) {
		return master(uwsgi(t, "routes.py", 4), "--http-socket", "{socket}"), backend{workers: 4, protocol: config.HTTP}
	},
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

// master is uWSGI with a master process. Nobody has to tell it to end at SIGTERM.
func master(uwsgi *exec.Cmd, options ...string) *exec.Cmd {
	uwsgi.Args = slices.DeleteFunc(uwsgi.Args, func(arg string) bool { return arg == "--die-on-term" })
	uwsgi.Args = append(append(uwsgi.Args, "--master"), options...)
	return uwsgi
}

// Requests are answered while the application is replaced, which may be on two sockets at once. When
// its processes are killed, others take their place.
func TestRecipes(t *testing.T) {
	const restarts = 3
	for name, command := range recipes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, be := command(t)
			g := startProcesses(t, account{}, app, be.args()...)
			if n := len(g.restartUnderLoad(t, be, restarts)); n != restarts+1 {
				t.Errorf("%d processes were there in turn, want %d", n, restarts+1)
			}
			s := newSite(t, g.url+be.prefix)
			for range 2 {
				first := g.child(t)
				killGroup(first)
				eventually(t, "its processes are gone", func() error { return wantGroupGone(t, first) })
				s.untilServed(t)
			}
		})
	}
}

// What is under way when Sluice is told to end is answered, by the master that is told to end and its
// workers.
func TestRecipesDrain(t *testing.T) {
	for name, command := range recipes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, be := command(t)
			gate := startSluiceCommand(t, app, be.args()...)
			drained(t, gate, newSite(t, gate.url+be.prefix))
		})
	}
}

// When Sluice is killed outright, its application ends: nobody else would end it before Sluice is
// started again.
func TestRecipesEndWithSluice(t *testing.T) {
	for name, command := range recipes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, be := command(t)
			gate := startSluiceCommand(t, app, be.args()...)
			newSite(t, gate.url+be.prefix).untilServed(t)
			group := gate.child(t)
			t.Cleanup(func() { killGroup(group) })
			kill(t, gate.Process.Pid)
			eventually(t, "the application has ended", func() error { return wantGroupGone(t, group) })
		})
	}
}

// Instances have a socket each, whoever makes it, and are asked whether they are ready there.
func TestRecipesInstances(t *testing.T) {
	for name, command := range recipes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, be := command(t)
			const instances = 3
			g := startProcesses(t, account{}, app, append(be.args(),
				"--command-instances", strconv.Itoa(instances), "--command-ready", be.prefix+"/hello")...)
			newSite(t, g.url+be.prefix).untilServed(t)
			eventually(t, "all instances are ready, on a socket each", func() error {
				p, _ := g.told(t)
				ready := make(map[string]bool)
				for _, in := range p.Instances {
					ready[in.Addr] = in.State == "ready" || in.State == "serving"
				}
				if len(ready) != instances || slices.Contains(slices.Collect(maps.Values(ready)), false) {
					return fmt.Errorf("instances are %v", p.Instances)
				}
				return nil
			})
		})
	}
}

// A command that makes its socket at one port cannot be there twice. Requests wait for the next one.
func TestRecipeAtOnePort(t *testing.T) {
	t.Parallel()
	app, be := recipes["uwsgi at a port"](t)
	g := startProcesses(t, account{}, app, append(be.args(), "--command-listen", freeAddress(t))...)
	g.restartUnderLoad(t, be, 4)
}

// A command that makes its socket is ended when it is idle, and started by the next request, which
// waits until it listens.
func TestRecipeSleeps(t *testing.T) {
	for _, name := range []string{"uwsgi at a path", "uwsgi at a port"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, be := recipes[name](t)
			g := startProcesses(t, account{}, app, append(be.args(), "--command-idle-shutdown", "200ms")...)
			for range 3 {
				if resp, body := g.app.do(t, g.app.request(t, http.MethodGet, "/hello", nil)); resp.StatusCode != http.StatusOK {
					t.Fatalf("%s: %s", resp.Status, head(body))
				}
				g.awaitChildren(t, 0)
			}
		})
	}
}

// A command that runs as another user makes its socket where only that user and root can reach it.
func TestRecipeAsAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		missing(t, "root, for the command to run as another user")
	}
	dir := socketDir(t)
	if err := os.Chmod(dir, 0o755); err != nil { // as /tmp is
		t.Fatal(err)
	}
	text, err := os.ReadFile(testdata(t, "routes.py"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "routes.py")
	write(t, file, "%s", text)
	app := master(uwsgi(t, "routes.py", 2), "--socket", "{socket}")
	app.Args[slices.Index(app.Args, "--wsgi-file")+1] = file
	be := backend{workers: 2, protocol: config.UWSGI}
	g := startProcessesIn(t, account{}, dir, app, append(be.args(), "--command-user", "nobody")...)
	g.restartUnderLoad(t, be, 2)
	p, _ := g.told(t)
	path := strings.TrimPrefix(p.Instances[0].Addr, "unix:")
	for name, want := range map[string]os.FileMode{filepath.Dir(path): 0o700, filepath.Dir(filepath.Dir(path)): 0o711} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Errorf("the socket is %+v, %v", info, err)
	}
}
