package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// readyWithin bounds how long a server may take until it answers.
	readyWithin = 10 * time.Second
	// slack is added to the time the rounds take before the run gives up.
	slack = time.Minute
)

// bench is one run: the application, the peers in front of it, and the results.
type bench struct {
	opts    options
	dir     string
	wrk     string // its version
	backend *process
	scripts map[string]string // scenario name to wrk script
	entries []*entry
}

// newBench starts the application and all peers. A peer that cannot be started is an entry with the
// reason.
func newBench(ctx context.Context, dir string, opts options) (*bench, error) {
	b := &bench{opts: opts, dir: dir, scripts: make(map[string]string)}
	var err error
	if b.wrk, err = wrkVersion(ctx); err != nil {
		return nil, err
	}
	for _, s := range opts.scenarios {
		path := filepath.Join(dir, s.label+".lua")
		if err := os.WriteFile(path, []byte(s.script()), 0o644); err != nil {
			return nil, err
		}
		b.scripts[s.label] = path
	}

	socket := filepath.Join(dir, "app.sock")
	if b.backend, err = b.startBackend(ctx, dir, socket); err != nil {
		b.close()
		return nil, err
	}
	for _, p := range opts.peers {
		e := &entry{peer: p, samples: make(map[string][]sample), missed: make(map[string]error), goodputs: make(map[string]goodput)}
		b.entries = append(b.entries, e)
		at := socket
		if e.app = b.backend; p.php { // for it alone: who keeps connections to it keeps others out
			at = phpSocket(filepath.Join(dir, p.label+"-app"))
			e.app, err = startPHP(ctx, at)
		}
		if err == nil {
			err = e.start(ctx, dir, dir, at, opts.scenarios[0])
		}
		if err != nil {
			e.fail(err)
		}
		if ctx.Err() != nil {
			b.close()
			return nil, errInterrupted
		}
	}
	return b, nil
}

var errInterrupted = errors.New("interrupted; everything that was started has been stopped")

// close stops every process that was started.
func (b *bench) close() {
	for _, e := range b.entries {
		e.stop()
	}
	if b.backend != nil {
		b.backend.stop()
	}
}

// startBackend starts an application in dir.
func (b *bench) startBackend(ctx context.Context, dir, socket string, more ...string) (*process, error) {
	binary, err := goBuild(ctx, "github.com/sluice-proxy/sluice/integration/peers/backend", filepath.Join(b.dir, "backend"))
	if err != nil {
		return nil, err
	}
	app, err := start("application", dir, append([]string{binary, "--socket", socket, "--http-socket", overHTTP(socket)}, more...))
	if err != nil {
		return nil, err
	}
	return app, waitForSocket(ctx, app, socket)
}

// wrkVersion also finds out whether wrk is there. It exits with status 1 when
// asked for its version.
func wrkVersion(ctx context.Context) (string, error) {
	path, err := exec.LookPath("wrk")
	if err != nil {
		return "", fmt.Errorf("wrk: %w (apt-get install wrk)", errMissing)
	}
	out, _ := exec.CommandContext(ctx, path, "-v").CombinedOutput()
	line, _, _ := strings.Cut(string(out), "[")
	return strings.TrimSpace(line), nil
}

// progress reports to standard error; standard output has only the table.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
