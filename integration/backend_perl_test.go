//go:build linux

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

func TestPerlFCGI(t *testing.T) {
	conform(t, startPerl(t, 4))
}

func TestFcgiwrap(t *testing.T) {
	conform(t, startFcgiwrap(t, testdata(t, ""), 4))
}

// needPerl returns Perl once the module is there.
func needPerl(t testing.TB, module string) string {
	t.Helper()
	// Debian's own Perl: its FCGI.pm is the one that is installed.
	perl := need(t, "/usr/bin/perl", "perl")
	if exec.Command(perl, "-M"+module, "-e1").Run() != nil {
		missing(t, "Perl's "+module)
	}
	return perl
}

func startPerl(t testing.TB, workers int) backend {
	t.Helper()
	cmd := exec.Command(needPerl(t, "FCGI"), testdata(t, "routes.pl"))
	cmd.Env = append(os.Environ(), "WORKERS="+strconv.Itoa(workers))
	p, addr := startOnSocket(t, cmd)
	return backend{addr: addr, workers: workers, process: p}
}

// startFcgiwrap serves the CGI programs under root.
func startFcgiwrap(t testing.TB, root string, workers int) backend {
	t.Helper()
	needPerl(t, "FCGI")
	wrap := need(t, "fcgiwrap", "/usr/sbin/fcgiwrap")
	p, addr := startOnSocket(t, exec.Command(wrap, "-f", "-c", strconv.Itoa(workers)))
	return backend{
		addr: addr, workers: workers,
		preset: "cgi", root: root, prefix: "/routes.pl", process: p,
		// Without it fcgiwrap flushes nothing before the program's end.
		env: map[string]string{"NO_BUFFERING": "1"},
	}
}

// gitweb is the command for gitweb on fd 0, and the variables it needs to
// serve the repositories under root: FCGI.pm replaces its environment.
func gitweb(t testing.TB, root string) (*exec.Cmd, backend) {
	t.Helper()
	perl := needPerl(t, "CGI::Fast")
	script := need(t, "/usr/share/gitweb/gitweb.cgi")
	config := filepath.Join(t.TempDir(), "gitweb.conf")
	write(t, config, "$projectroot = %q;\n$home_link_str = 'all';\n1;\n", root)
	return exec.Command(perl, script, "--fastcgi"), backend{
		workers: 1, env: map[string]string{"GITWEB_CONFIG": config},
	}
}
