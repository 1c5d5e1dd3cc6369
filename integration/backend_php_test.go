//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

func TestPHPFPM(t *testing.T) {
	conform(t, startFPM(t, fpmOptions{root: testdata(t, ""), workers: 4}))
}

func TestPHPCGI(t *testing.T) {
	conform(t, startPHPCGI(t, testdata(t, ""), 4))
}

// phpINI is the php.ini of every PHP here: the answer goes out as it is
// written, errors go to FCGI_STDERR, uploads are as large as the gate allows.
func phpINI(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "php.ini")
	write(t, path, `
output_buffering = 0
implicit_flush = 0
post_max_size = 0
upload_max_filesize = 64M
log_errors = 1
display_errors = 0
max_execution_time = 120
session.save_path = %q
`, t.TempDir())
	return path
}

type fpmOptions struct {
	root    string
	workers int
	backlog int    // of the listening socket; 0 is php-fpm's default
	tcp     bool   // it listens on a TCP port of this machine
	pool    string // further lines of the pool's configuration
}

func startFPM(t testing.TB, o fpmOptions) backend {
	t.Helper()
	fpm := need(t, "php-fpm", "/usr/sbin/php-fpm*")
	dir := socketDir(t)
	network, socket := "unix", filepath.Join(dir, "fpm.sock")
	if o.tcp {
		network, socket = "tcp", freeAddress(t)
	}
	if o.backlog > 0 {
		o.pool += fmt.Sprintf("listen.backlog = %d\n", o.backlog)
	}
	args := []string{"--nodaemonize", "-c", phpINI(t)}
	if os.Geteuid() == 0 {
		// The tests' files belong to root.
		args = append(args, "--allow-to-run-as-root")
		o.pool += "user = root\ngroup = root\n"
	}
	config := filepath.Join(dir, "fpm.conf")
	write(t, config, `
[global]
error_log = /proc/self/fd/2
daemonize = no
process_control_timeout = 20s
[routes]
listen = %s
pm = static
pm.max_children = %d
catch_workers_output = yes
%s`, socket, o.workers, o.pool)
	args = append(args, "--fpm-config", config)
	p := start(t, exec.Command(fpm, args...))
	awaitAddress(t, p, network, socket)
	addr := socket
	if !o.tcp {
		addr = "unix:" + socket
	}
	return backend{
		addr: addr, workers: o.workers,
		preset: "php", root: o.root, prefix: "/routes.php", process: p,
	}
}

// phpCGI is the command for a php-cgi on fd 0 with that many children.
func phpCGI(t testing.TB, workers int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(need(t, "php-cgi"), "-c", phpINI(t))
	cmd.Env = append(os.Environ(), "PHP_FCGI_CHILDREN="+strconv.Itoa(workers), "PHP_FCGI_MAX_REQUESTS=0")
	return cmd
}

func startPHPCGI(t testing.TB, root string, workers int) backend {
	t.Helper()
	p, addr := startOnSocket(t, phpCGI(t, workers))
	return backend{
		addr: addr, workers: workers,
		preset: "php", root: root, prefix: "/routes.php", process: p,
	}
}
