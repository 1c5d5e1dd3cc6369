//go:build linux

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
)

func TestLibfcgi(t *testing.T) {
	conform(t, startLibfcgi(t, 4))
}

// A program that holds a lock while it waits on a kept connection must not be
// given kept connections.
func TestLibfcgiAcceptLock(t *testing.T) {
	app := libfcgi(t, 4)
	app.Env = append(app.Env, "ACCEPT_LOCK=1")
	p, addr := startOnSocket(t, app)
	conform(t, backend{addr: addr, workers: 4, process: p, keepAlive: bridge.Off})
}

// libfcgi compiles the C responder and returns the command for it.
func libfcgi(t testing.TB, workers int) *exec.Cmd {
	t.Helper()
	cc := need(t, "gcc", "cc")
	if _, err := os.Stat("/usr/include/fcgiapp.h"); err != nil {
		missing(t, "libfcgi-dev")
	}
	bin := filepath.Join(t.TempDir(), "routes")
	run(t, exec.Command(cc, "-O2", "-Wall", "-Wextra", "-Werror", "-o", bin, testdata(t, "routes.c"), "-lfcgi", "-lpthread"))
	cmd := exec.Command(bin)
	cmd.Env = append(os.Environ(), "WORKERS="+strconv.Itoa(workers))
	return cmd
}

func startLibfcgi(t testing.TB, workers int) backend {
	t.Helper()
	p, addr := startOnSocket(t, libfcgi(t, workers))
	return backend{addr: addr, workers: workers, process: p}
}
