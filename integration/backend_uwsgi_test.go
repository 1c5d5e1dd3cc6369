//go:build linux

package integration

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

func TestUWSGI(t *testing.T) {
	conform(t, startUWSGI(t, 4))
}

func TestUWSGIInItsProtocol(t *testing.T) {
	conform(t, startUWSGISocket(t, "--socket", 4))
}

func TestUWSGIInSCGI(t *testing.T) {
	conform(t, startUWSGISocket(t, "--scgi-socket", 4))
}

// startUWSGISocket has uWSGI speak the protocol of a socket option.
func startUWSGISocket(t testing.TB, option string, workers int) backend {
	t.Helper()
	scheme := map[string]string{"--socket": "uwsgi", "--scgi-socket": "scgi"}[option]
	socket := filepath.Join(socketDir(t), "uwsgi.sock")
	p := start(t, uwsgi(t, "routes.py", workers, option, socket))
	awaitSocket(t, p, socket)
	return backend{addr: scheme + "+unix:" + socket, workers: workers, process: p}
}

func startUWSGI(t testing.TB, workers int) backend {
	t.Helper()
	return startUWSGIAt(t, filepath.Join(socketDir(t), "uwsgi.sock"), workers)
}

func startUWSGIAt(t testing.TB, socket string, workers int) backend {
	t.Helper()
	return startUWSGIFile(t, "routes.py", socket, workers)
}

// startUWSGIFile runs a WSGI application of testdata.
func startUWSGIFile(t testing.TB, file, socket string, workers int) backend {
	t.Helper()
	p := start(t, uwsgi(t, file, workers, "--fastcgi-socket", socket))
	awaitSocket(t, p, socket)
	return backend{addr: "unix:" + socket, workers: workers, process: p}
}

// uwsgi is the command that runs a WSGI application of testdata.
func uwsgi(t testing.TB, file string, workers int, options ...string) *exec.Cmd {
	t.Helper()
	program := need(t, "uwsgi")
	if exec.Command(program, "--plugin", "python3", "--version").Run() != nil {
		missing(t, "uwsgi-plugin-python3")
	}
	return exec.Command(program, append([]string{
		"--plugin", "python3", "--wsgi-file", testdata(t, file), "--need-app",
		"--enable-threads", "--threads", strconv.Itoa(workers),
		// Variables of more than its 4 KiB make it stall, see buffer-size.
		"--buffer-size", "65535", "--die-on-term",
	}, options...)...)
}
