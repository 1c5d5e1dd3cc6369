package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// site is the environment of a peer: its directory and addresses, and the application.
type site struct {
	dir     string // its own directory
	config  string // where its configuration file is, if it has one
	listen  string // host:port for HTTP
	status  string // host:port for whatever else it listens on
	backend string // the application's unix socket, in FastCGI
	workers int    // how many requests the application can hold; 0: any number
}

// workersOr is how many requests the application can hold, n if it can hold any number.
func (s site) workersOr(n int) int {
	if s.workers > 0 {
		return s.workers
	}
	return n
}

// overHTTP is the unix socket on which the application at socket speaks HTTP.
func overHTTP(socket string) string { return socket + ".http" }

// peer is a proxy, configured in one way. All peers count as ready when the
// application's reply comes through them.
type peer struct {
	label string
	about string // what matters about its configuration, for the report

	// binary finds or builds the program; dir may be written to. An error that
	// is errMissing means that the machine does not have it.
	binary func(ctx context.Context, dir string) (string, error)
	// tls says that it speaks HTTP/1.1 over TLS.
	tls bool
	// php says that PHP-FPM is its application.
	php bool
	// fronts says that it has more than one front, and --front chooses.
	fronts bool
	// version are the arguments that make the program print its version.
	version []string
	// config is the text of its configuration file; nil if flags say it all.
	config func(site) string
	// argv are the arguments that start it in the foreground.
	argv func(site) []string
	// collect is the path at its status address that makes it collect its garbage; empty if there
	// is none.
	collect string
}

func (p peer) name() string { return p.label }

// scheme is that of its URLs.
func (p peer) scheme() string {
	if p.tls {
		return "https"
	}
	return "http"
}

// peers has the proxies, in the order of the report.
var peers = []peer{
	sluice(64),
	sluice(16),
	sluice(512),
	sluiceMux,
	nginx,
	haproxy,
	haproxyMux,
	lighttpd,
	nginxTLS,
	caddySluiceTLS,
	caddyTLS,
	caddySluice(64),
	caddySluice(512),
	caddySluice(5000),
	caddyTransport(64),
	caddy,
	caddyFloor,
	sluiceHTTP,
	caddySluiceHTTP,
	caddyHTTP,
	sluicePHP,
	nginxPHP,
	haproxyPHP,
}

// errMissing says that a program is not installed.
var errMissing = errors.New("not installed")

// installed finds a program of the distribution. Debian keeps servers in
// directories that are not on a user's PATH.
func installed(name, pkg string) func(context.Context, string) (string, error) {
	return func(context.Context, string) (string, error) {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		for _, dir := range [...]string{"/usr/sbin", "/usr/local/sbin"} {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
		return "", fmt.Errorf("%s: %w (apt-get install %s)", name, errMissing, pkg)
	}
}

// goBuild builds a package of the module we run in, if out is not there yet.
func goBuild(ctx context.Context, pkg, out string, flags ...string) (string, error) {
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-o", out}, flags, []string{pkg})...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w: %s", pkg, err, oneLine(text))
	}
	return out, nil
}

// versionNumber is a number at the start of a word, so that the Go version in
// "go1.26" is not taken for the program's.
var versionNumber = regexp.MustCompile(`(?m)(?:^|[ /])v?(\d+\.\d+[\w.+-]*|\(devel\))`)

// readVersion asks the program for its version: the first thing that looks
// like one, or else the first line.
func readVersion(ctx context.Context, binary string, args []string) (string, error) {
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", binary, strings.Join(args, " "), err, lastLine(out))
	}
	if v := versionNumber.FindSubmatch(out); v != nil {
		return string(v[1]), nil
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line, nil
}

// launch writes the peer's configuration and starts it.
func (p peer) launch(binary string, s site) (*process, error) {
	if p.tls {
		if err := s.writeCertificate(); err != nil {
			return nil, err
		}
	}
	if p.config != nil {
		if err := os.WriteFile(s.config, []byte(p.config(s)), 0o644); err != nil {
			return nil, err
		}
	}
	return start(p.label, s.dir, append([]string{binary}, p.argv(s)...))
}
