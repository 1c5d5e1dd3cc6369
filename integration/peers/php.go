package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// phpWorkers is how many processes PHP-FPM has. Each serves one connection until that is closed.
const phpWorkers = 16

// The proxies in front of PHP-FPM: each as its users have it. A process of PHP that holds a kept
// connection accepts no other, so nginx and HAProxy make one for each request; Sluice keeps as many as
// there are processes.
var (
	nginxPHP = inFrontOfPHP("nginx-php", nginx, "a connection for each request, as Debian's snippets have it", func(text, script string) string {
		return strings.NewReplacer("\t\tkeepalive 64;\n\t\tkeepalive_requests 100000000;\n", "",
			"fastcgi_keep_conn on;", "fastcgi_param SCRIPT_FILENAME "+script+";").Replace(text)
	})
	haproxyPHP = inFrontOfPHP("haproxy-php", haproxy, "`no option keep-conn`", func(text, script string) string {
		return strings.Replace(text, "\toption keep-conn\n", "\tno option keep-conn\n\tset-param SCRIPT_FILENAME "+script+"\n", 1)
	})
	sluicePHP = func() peer {
		p := serve("sluice-php", "in front of PHP-FPM", phpWorkers, func(socket string) string { return "unix:" + socket })
		argv := p.argv
		p.php, p.argv = true, func(s site) []string { return append(argv(s), "--env", "SCRIPT_FILENAME="+phpScript(s.backend)) }
		return p
	}()
)

// inFrontOfPHP is a peer in front of PHP-FPM, with a configuration that change makes of its own.
func inFrontOfPHP(label string, p peer, about string, change func(text, script string) string) peer {
	config := p.config
	p.label, p.about, p.php = label, "in front of PHP-FPM, "+about, true
	p.config = func(s site) string { return change(config(s), phpScript(s.backend)) }
	return p
}

// phpSocket is where PHP-FPM listens.
func phpSocket(dir string) string { return filepath.Join(dir, "php.sock") }

// phpScript is what PHP runs, for the application at socket.
func phpScript(socket string) string { return filepath.Join(filepath.Dir(socket), "app.php") }

// phpProgram answers as the application in Go does.
const phpProgram = `<?php
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$n = 200;
if (preg_match('#^/bytes/(\d+)$#', $path, $m)) $n = (int)$m[1];
elseif (preg_match('#^/hold/(\d+)ms$#', $path, $m)) usleep(1000 * $m[1]);
else strlen(file_get_contents('php://input'));
header('Content-Type: application/octet-stream');
header('Content-Length: ' . $n);
echo str_repeat('0', $n);
`

const fpmConfig = `[global]
daemonize = no
error_log = /dev/stderr
[app]
user = root
group = root
listen = %s
listen.backlog = 4096
pm = static
pm.max_children = %d
`

// startPHP starts PHP-FPM, which listens at socket, in a directory of its own.
func startPHP(ctx context.Context, socket string) (*process, error) {
	dir := filepath.Dir(socket)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	found, err := filepath.Glob("/usr/sbin/php-fpm*")
	if err == nil && len(found) == 0 {
		err = errMissing
	}
	if err != nil {
		return nil, fmt.Errorf("php-fpm: %w (apt-get install php-fpm)", err)
	}
	config := filepath.Join(dir, "fpm.conf")
	for name, text := range map[string]string{phpScript(socket): phpProgram, config: fmt.Sprintf(fpmConfig, socket, phpWorkers)} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	binary, err := exec.LookPath(found[len(found)-1])
	if err != nil {
		return nil, err
	}
	php, err := start("php-fpm", dir, []string{binary, "-R", "-y", config})
	if err != nil {
		return nil, err
	}
	return php, waitForSocket(ctx, php, socket)
}

// waitForSocket waits until an application accepts connections, and stops it if it does not.
func waitForSocket(ctx context.Context, app *process, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	err := app.waitReady(ctx, func(context.Context) error {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		app.stop()
	}
	return err
}
