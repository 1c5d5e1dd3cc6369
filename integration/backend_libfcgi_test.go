//go:build linux

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/config"
)

func TestLibfcgi(t *testing.T) {
	conform(t, startLibfcgi(t, 4))
}

// A program that holds a lock while it waits on a kept connection is not given kept
// connections, whether that is said or found out.
func TestLibfcgiAcceptLock(t *testing.T) {
	for _, keepAlive := range []config.Switch{config.Auto, config.Off} {
		t.Run(string(keepAlive), func(t *testing.T) {
			p, addr := startOnSocket(t, libfcgiLock(t, 4))
			conform(t, backend{addr: addr, workers: 4, process: p, keepAlive: keepAlive})
		})
	}
}

// libfcgi compiles the C responder and returns the command for it.
func libfcgi(t testing.TB, workers int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(compiled(t, "routes.c"))
	cmd.Env = append(os.Environ(), "WORKERS="+strconv.Itoa(workers))
	return cmd
}

// libfcgiLock is the command for the C responder whose threads take turns at accepting.
func libfcgiLock(t testing.TB, workers int) *exec.Cmd {
	t.Helper()
	cmd := libfcgi(t, workers)
	cmd.Env = append(cmd.Env, "ACCEPT_LOCK=1")
	return cmd
}

// comet is the command for the COMET daemon, which accepts in one thread.
func comet(t testing.TB, order string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(compiled(t, "comet.c"))
	cmd.Env = append(os.Environ(), "ORDER="+order)
	return cmd
}

// compiled is a program of testdata that uses libfcgi.
func compiled(t testing.TB, source string) string {
	t.Helper()
	if _, err := os.Stat("/usr/include/fcgiapp.h"); err != nil {
		missing(t, "libfcgi-dev")
	}
	return compiledWith(t, source, "-lfcgi")
}

// compiledWith is a program of testdata.
func compiledWith(t testing.TB, source, option string) string {
	t.Helper()
	cc := need(t, "gcc", "cc")
	bin := filepath.Join(t.TempDir(), strings.TrimSuffix(source, ".c"))
	run(t, exec.Command(cc, "-O2", "-Wall", "-Wextra", "-Werror", "-o", bin, testdata(t, source), option, "-lpthread"))
	return bin
}

func startLibfcgi(t testing.TB, workers int) backend {
	t.Helper()
	p, addr := startOnSocket(t, libfcgi(t, workers))
	return backend{addr: addr, workers: workers, process: p}
}
