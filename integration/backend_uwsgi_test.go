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
	uwsgi := need(t, "uwsgi")
	if exec.Command(uwsgi, "--plugin", "python3", "--version").Run() != nil {
		missing(t, "uwsgi-plugin-python3")
	}
	p := start(t, exec.Command(
		uwsgi, "--plugin", "python3", "--fastcgi-socket", socket,
		"--wsgi-file", testdata(t, file), "--need-app",
		"--enable-threads", "--threads", strconv.Itoa(workers),
		// Variables of more than its 4 KiB make it stall, see buffer-size.
		"--buffer-size", "65535", "--die-on-term",
	))
	awaitSocket(t, p, socket)
	return backend{addr: "unix:" + socket, workers: workers, process: p}
}
