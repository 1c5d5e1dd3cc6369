package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// parking is the cost of a number of long-polls.
type parking struct {
	polls  int
	failed error // why it was not measured
	grown  footprint
}

// footprint is the memory of the proxy and of the application, or its growth.
type footprint struct{ proxy, app, files float64 }

// perPoll divides a growth by the polls, in KiB.
func (p parking) perPoll(bytes float64) float64 { return bytes / 1024 / float64(p.polls) }

// park lets every peer hold long-polls. Peer and application are started anew for each number of polls, so
// that no memory is reused.
func (b *bench) park(ctx context.Context) error {
	for _, n := range b.opts.parked {
		for _, e := range b.running() {
			if e.peer.tls || e.peer.php { // a poll is one line of plaintext, and PHP holds few
				continue
			}
			grown, err := b.parkAt(ctx, e.peer, n)
			if ctx.Err() != nil {
				return interruption(ctx)
			}
			p := parking{n, err, grown}
			e.parked = append(e.parked, p)
			if err != nil {
				progress("parked %d  %s: %v", n, e.peer.label, err)
				continue
			}
			progress("parked %d  %-18s %6.1f KiB each, application %.1f KiB", n, e.peer.label, p.perPoll(grown.proxy), p.perPoll(grown.app))
		}
	}
	return nil
}

// parkWithin bounds how long opening the polls and measuring them may take. It is shorter than the proxies'
// time-outs.
const parkWithin = 50 * time.Second

func (b *bench) parkAt(ctx context.Context, p peer, n int) (grown footprint, err error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("%s-%d-parked", p.label, n))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return grown, err
	}
	socket := filepath.Join(dir, "app.sock")
	app, err := b.startBackend(ctx, dir, socket)
	if err != nil {
		return grown, err
	}
	defer app.stop()
	e := &entry{peer: p}
	defer e.stop()
	if err := e.start(ctx, dir, b.dir, socket, scenarios[0]); err != nil {
		return grown, err
	}

	ctx, cancel := context.WithTimeoutCause(ctx, parkWithin, errors.New("memory has not settled"))
	defer cancel()
	before, err := e.settled(ctx, app)
	if err != nil {
		return grown, err
	}
	waiting, err := openPolls(ctx, strings.TrimPrefix(e.url, "http://"), n)
	if err != nil {
		return grown, err
	}
	defer waiting.close()
	after, err := e.settled(ctx, app)
	if err != nil {
		return grown, err
	}
	grown = footprint{after.proxy - before.proxy, after.app - before.app, after.files - before.files}
	if int(grown.files) < n {
		return grown, fmt.Errorf("only %v of %d connections were accepted", grown.files, n)
	}
	return grown, waiting.waiting()
}

// settled waits until the memory of e and the application changes by less than one
// part in a hundred in a second, garbage not counted where it can be collected.
func (e *entry) settled(ctx context.Context, app *process) (footprint, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last footprint
	for {
		if err := e.collect(ctx); err != nil {
			return last, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last, context.Cause(ctx)
		}
		now, err := e.footprint(app)
		if err != nil || steady(last.proxy, now.proxy) && steady(last.app, now.app) && last.files == now.files {
			return now, err
		}
		last = now
	}
}

func steady(a, b float64) bool { return max(a, b)-min(a, b) < b/100 }

func (e *entry) footprint(app *process) (footprint, error) {
	proxy, err := proportionalMemory(e.proc.cmd.Process.Pid)
	if err != nil {
		return footprint{}, err
	}
	files, err := descriptors(e.proc.cmd.Process.Pid)
	if err != nil {
		return footprint{}, err
	}
	behind, err := proportionalMemory(app.cmd.Process.Pid)
	return footprint{float64(proxy), float64(behind), float64(files)}, err
}

// collect makes the peer collect its garbage, if it has a means for that.
func (e *entry) collect(ctx context.Context) error {
	if e.peer.collect == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.status+e.peer.collect, nil)
	if err != nil {
		return err
	}
	req.Close = true // its memory would count
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", e.peer.collect, resp.StatusCode)
	}
	return nil
}

var parkedHeading = []string{"peer", "version", "KiB each", "x", "app KiB each", "files each"}

// parkedRows is the table of the i-th number of polls, heading first.
func parkedRows(entries []*entry, i int, baseline string) [][]string {
	var base float64
	for _, e := range entries {
		if e.peer.label == baseline && i < len(e.parked) && e.parked[i].failed == nil {
			base = e.parked[i].grown.proxy
		}
	}
	out := [][]string{parkedHeading}
	for _, e := range entries {
		if i >= len(e.parked) || e.parked[i].failed != nil {
			out = append(out, []string{e.peer.label, e.version, "missing", "-", "-", "-"})
			continue
		}
		p := e.parked[i]
		out = append(out, []string{
			e.peer.label,
			e.version,
			fmt.Sprintf("%.1f", p.perPoll(p.grown.proxy)),
			ratio(p.grown.proxy, base),
			fmt.Sprintf("%.1f", p.perPoll(p.grown.app)),
			fmt.Sprintf("%.2f", p.grown.files/float64(p.polls)),
		})
	}
	return out
}

const aboutParked = `
Of parked long-polls, each from a client and a connection of its own, "each" is by how much the memory of the proxy
grew (PSS), and that of the application, for one of them; both were started anew. Caddy was told to collect its garbage
before each reading; the others were not.
`
