package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/sluice-proxy/sluice/integration/internal/freeport"
)

// entry is one peer in the run.
type entry struct {
	peer     peer
	version  string
	url      string
	status   string // URL of its status address
	proc     *process
	app      *process            // its application
	samples  map[string][]sample // scenario name to its counted rounds
	peak     uint64              // bytes
	parked   []parking           // one for each number of polls, as far as they went
	missed   map[string]error    // scenario name to why it was not measured
	workers  int                 // how many the application has; 0: any number
	goodputs map[string]goodput  // crowd name to what became of the pages
	failed   error               // why it is not, or no longer, measured
}

// start brings the peer up in a directory below dir, and waits until the application's
// reply comes through it. What must be built goes to builds.
func (e *entry) start(ctx context.Context, dir, builds, socket string, s scenario) error {
	binary, err := e.peer.binary(ctx, builds)
	if err != nil {
		return err
	}
	if e.version, err = readVersion(ctx, binary, e.peer.version); err != nil {
		return err
	}
	at, err := newSite(filepath.Join(dir, e.peer.label), socket)
	if err != nil {
		return err
	}
	at.workers = e.workers
	if e.proc, err = e.peer.launch(binary, at); err != nil {
		return err
	}
	e.url, e.status = e.peer.scheme()+"://"+at.listen, "http://"+at.status
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	return e.proc.waitReady(ctx, func(ctx context.Context) error { return ask(ctx, e.url, s) })
}

func (e *entry) stop() {
	if e.proc != nil {
		e.proc.stop()
	}
	if e.peer.php && e.app != nil { // the others' is the bench's
		e.app.stop()
	}
}

// miss notes why a scenario is not measured any more. A server that has ended has failed.
func (e *entry) miss(s scenario, err error) {
	if ended := e.proc.ended(); ended != nil {
		e.fail(ended)
		return
	}
	progress("%s: %s: %v", e.peer.label, s.label, err)
	e.missed[s.label] = err
}

func (e *entry) fail(err error) {
	progress("%s: %v", e.peer.label, err)
	e.failed = err
	e.stop()
}

// newSite makes the peer's directory and finds two free ports for it.
func newSite(dir, socket string) (site, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return site{}, err
	}
	s := site{dir: dir, config: filepath.Join(dir, "config"), backend: socket}
	for _, addr := range []*string{&s.listen, &s.status} {
		var err error
		if *addr, _, err = freeport.Reserve(); err != nil { // until this program ends
			return site{}, err
		}
	}
	return s, nil
}

// client trusts every certificate: a peer's is made for the run.
var client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

// ask sends the scenario's request once and checks the reply.
func ask(ctx context.Context, url string, s scenario) error {
	req, err := http.NewRequestWithContext(ctx, s.method, url+s.path, bytes.NewReader(make([]byte, s.body)))
	if err != nil {
		return err
	}
	req.Close = true // an idle connection would outlive the check
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || n != int64(s.reply) {
		return fmt.Errorf("%s %s: status %d with %d bytes, want 200 with %d", s.method, s.path, resp.StatusCode, n, s.reply)
	}
	return nil
}
