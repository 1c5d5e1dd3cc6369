//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Instances share what there is to do, and when one dies nobody who only reads loses by
// it.
func TestInstances(t *testing.T) {
	t.Parallel()
	const instances, workers = 3, 2
	g := startProcesses(t, account{}, troubled(t, "--threads", strconv.Itoa(workers)),
		"--workers", strconv.Itoa(workers), "--lanes", "off", "--command-instances", strconv.Itoa(instances))
	g.app.untilServed(t)
	g.awaitChildren(t, instances)
	for pid, n := range g.holdAll(t, instances*workers) {
		if n != workers {
			t.Errorf("process %d has %d requests, want %d", pid, n, workers)
		}
	}
	l := newLoad(t, g.url)
	kills := 2 * instances
	l.callers(t, 4, l.getTokens, func() {
		for i := range kills {
			// One that has served nothing is not started again as readily.
			kids := g.awaitServing(t, instances)
			kill(t, kids[i%instances])
			eventually(t, "it is gone", func() error { return wantGone(kids[i%instances]) })
		}
		g.awaitServing(t, instances)
	})
	l.wantFewCut(t, kills*workers)
}

// An instance that cannot be started again, and pauses longer and longer, holds up nobody
// while another serves.
func TestInstanceThatDoesNotStart(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(socketDir(t), "broken")
	g := startProcesses(t, account{}, troubled(t, "--broken", broken), "--workers", "4", "--command-instances", "2")
	l := newLoad(t, g.url)
	l.callers(t, 4, func(_, i int) question {
		return l.echo([]string{http.MethodGet, http.MethodPost}[i%2], nil)
	}, func() {
		kids := g.awaitServing(t, 2)
		write(t, broken, "")
		kill(t, kids[0])
		g.logs(t, "a crash loop begins") // three ends
		l.awaitAnswers(t, 100)
	})
	l.mu.Lock()
	slowest := l.slowest
	l.mu.Unlock()
	if slowest > 2*time.Second {
		t.Errorf("a request took %v", slowest)
	}
	l.wantFewCut(t, 4)
}

// awaitServing waits until so many instances serve, and returns their processes.
func (g processGate) awaitServing(t testing.TB, n int) (pids []int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d instances serve", n), func() error {
		p, text := g.told(t)
		pids = nil
		for _, in := range p.Instances {
			if in.State == "serving" && wantGone(in.PID) != nil {
				pids = append(pids, in.PID)
			}
		}
		if len(pids) != n {
			return fmt.Errorf("these do: %v\n%s", pids, text)
		}
		return nil
	})
	return pids
}

// wantFewCut fails unless every question was answered, but for so many that were with a
// process when it died: it had begun to answer, or may have done what it was asked.
func (l *load) wantFewCut(t testing.TB, most int) {
	t.Helper()
	l.mu.Lock()
	l.failed = slices.DeleteFunc(l.failed, func(f failure) bool {
		begun := f.status == http.StatusOK && errors.Is(f.err, io.ErrUnexpectedEOF)
		lost := f.status == http.StatusBadGateway && strings.Contains(f.kind, "http_response_incomplete")
		cut := most > 0 && (begun || lost)
		if cut {
			most--
		}
		return cut
	})
	l.mu.Unlock()
	l.wantAllRight(t)
	l.wantNoneStarved(t)
}

// getTokens asks for a token.
func (l *load) getTokens(int, int) question { return l.echo(http.MethodGet, nil) }

// holdAll has so many requests in flight at once, and returns how many of them each
// process has had.
func (g processGate) holdAll(t testing.TB, requests int) map[int]int {
	t.Helper()
	gate := newGate(t)
	held := make([]<-chan outcome, requests)
	for i := range held {
		held[i] = g.app.inBackground(t, http.MethodPost, "/hold?gate="+gate.dir)
	}
	gate.entered(t, requests)
	for range held {
		gate.pass(t)
	}
	counts := map[int]int{}
	for _, h := range held {
		o := within(t, "a request", h)
		pid, err := strconv.Atoi(strings.TrimSpace(o.body))
		if err != nil || o.status != http.StatusOK {
			t.Fatalf("a request got %d, %q, %v", o.status, head(o.body), o.err)
		}
		counts[pid]++
	}
	return counts
}

// When more is asked than one instance holds, there are more. What waits is answered.
func TestInstancesGrow(t *testing.T) {
	t.Parallel()
	const workers = 2
	most := 2
	if soaking() {
		most = 3
	}
	g := startProcesses(t, account{}, troubled(t, "--threads", strconv.Itoa(workers)),
		"--workers", strconv.Itoa(workers), "--lanes", "off", "--command-max-instances", strconv.Itoa(most))
	g.app.untilServed(t)
	g.awaitChildren(t, 1)
	// They all get in only where there are so many instances.
	if counts := g.holdAll(t, most*workers); len(counts) != most {
		t.Errorf("processes had so many requests: %v", counts)
	}
	g.awaitChildren(t, most)
	if !soaking() {
		return
	}
	// It takes a minute of quiet for one to be too many.
	l := newLoad(t, g.url)
	l.callers(t, 1, func(_, i int) question {
		pause(t, 10*time.Millisecond)
		return l.echo([]string{http.MethodGet, http.MethodPost}[i%2], nil)
	}, func() {
		for n := most - 1; n > 0; n-- {
			pause(t, time.Minute)
			g.awaitChildren(t, n)
		}
	})
	l.wantAllRight(t)
}

// Instances are replaced one after the other: never is there more than one too many, nor
// one too few that serve.
func TestInstancesAreReplaced(t *testing.T) {
	t.Parallel()
	const instances = 3
	g := startProcesses(t, account{}, troubled(t), "--workers", "2", "--command-instances", strconv.Itoa(instances))
	g.app.untilServed(t)
	before := g.awaitChildren(t, instances)
	stop, watched := make(chan struct{}), make(chan error, 1)
	go func() {
		for !closed(stop) {
			if kids := children(t, g.Process.Pid); len(kids) < instances || len(kids) > instances+1 {
				watched <- fmt.Errorf("there are %v", kids)
				return
			}
		}
		watched <- nil
	}()
	l := newLoad(t, g.url)
	l.callers(t, 3, func(_, i int) question {
		return l.echo([]string{http.MethodGet, http.MethodPost}[i%2], nil)
	}, func() { g.restart(t) })
	close(stop)
	if err := within(t, "the watch", watched); err != nil {
		t.Error(err)
	}
	l.wantAllRight(t)
	for _, pid := range g.awaitChildren(t, instances) {
		if slices.Contains(before, pid) {
			t.Errorf("process %d was not replaced", pid)
		}
	}
}
