//go:build linux

package integration

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/config"
)

func TestSCGI(t *testing.T) {
	conform(t, startSCGI(t, 4))
}

func TestPerlSCGI(t *testing.T) {
	conform(t, startPerlSCGI(t, 4))
}

// scgi compiles the C responder for SCGI and returns the command for it.
func scgi(t testing.TB, workers int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(compiledWith(t, "routes.c", "-DSCGI"))
	cmd.Env = append(os.Environ(), "WORKERS="+strconv.Itoa(workers))
	return cmd
}

func startSCGI(t testing.TB, workers int) backend {
	t.Helper()
	return startSCGICommand(t, scgi(t, workers), workers)
}

// startPerlSCGI runs the routes of FCGI.pm with SCGI.pm.
func startPerlSCGI(t testing.TB, workers int) backend {
	t.Helper()
	cmd := exec.Command(needPerl(t, "SCGI"), "-I", testdata(t, "scgi"), testdata(t, "routes.pl"))
	cmd.Env = append(os.Environ(), "WORKERS="+strconv.Itoa(workers))
	return startSCGICommand(t, cmd, workers)
}

func startSCGICommand(t testing.TB, cmd *exec.Cmd, workers int) backend {
	t.Helper()
	p, addr := startOnSocket(t, cmd)
	return backend{addr: strings.Replace(addr, "unix:", "scgi+unix:", 1), protocol: config.SCGI, workers: workers, process: p}
}
