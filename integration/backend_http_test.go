//go:build linux

package integration

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// httpServers are servers of WSGI that speak HTTP, with so many requests at once.
var httpServers = map[string]func(testing.TB, int) backend{
	"gunicorn gthread": func(t testing.TB, workers int) backend {
		return startGunicorn(t, "routes", workers, "--worker-class", "gthread", "--threads", strconv.Itoa(workers))
	},
	"gunicorn sync": func(t testing.TB, workers int) backend {
		return startGunicorn(t, "routes", workers, "--workers", strconv.Itoa(workers))
	},
	"gunicorn gevent": func(t testing.TB, workers int) backend {
		return startGunicorn(t, "routes", workers, "--worker-class", "gevent", "--worker-connections", strconv.Itoa(workers))
	},
	"waitress": startWaitress,
	"uwsgi":    startUWSGIOverHTTP,
}

func TestHTTPServers(t *testing.T) {
	for name, start := range httpServers {
		t.Run(name, func(t *testing.T) {
			conform(t, start(t, 4))
		})
	}
}

// startGunicorn runs a WSGI application of testdata on a TCP socket, where gunicorn knows the
// address of its client.
func startGunicorn(t testing.TB, module string, workers int, options ...string) backend {
	t.Helper()
	addr := freeAddress(t)
	p := start(t, exec.Command(need(t, "/usr/bin/gunicorn"), append([]string{
		"--chdir", filepath.Dir(testdata(t, module+".py")), "--bind", addr, "--error-logfile", "-",
		module + ":application",
	}, options...)...))
	awaitAddress(t, p, "tcp", addr)
	return backend{addr: "http://" + addr, workers: workers, process: p, isHTTP: true}
}

func startWaitress(t testing.TB, workers int) backend {
	t.Helper()
	addr := freeAddress(t)
	cmd := exec.Command(need(t, "/usr/bin/waitress-serve", "/usr/bin/waitress-serve-python3"), "--listen", addr, "--threads", strconv.Itoa(workers), "routes:application")
	cmd.Dir = filepath.Dir(testdata(t, "routes.py"))
	cmd.Env = append(cmd.Environ(), "PYTHONPATH="+cmd.Dir)
	p := start(t, cmd)
	awaitAddress(t, p, "tcp", addr)
	return backend{addr: "http://" + addr, workers: workers, process: p, isHTTP: true}
}

func startUWSGIOverHTTP(t testing.TB, workers int) backend {
	t.Helper()
	addr := freeAddress(t)
	p := start(t, uwsgi(t, "routes.py", workers, "--http-socket", addr))
	awaitAddress(t, p, "tcp", addr)
	return backend{addr: "http://" + addr, workers: workers, process: p, isHTTP: true}
}
