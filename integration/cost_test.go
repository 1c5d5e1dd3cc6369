//go:build linux

package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What a request costs is counted where time would depend on the machine: allocations, and calls that
// read and write, of sluice serve, for one client on a kept connection. Timings are for make bench-peers.
// A limit that is exceeded is either a mistake, or worth it and raised.
func TestCostOfRequests(t *testing.T) {
	app := startBackend(t)
	for _, tc := range []struct {
		front, request string
		body, reply    int
		most           cost
	}{
		{"net", "GET /bytes/200?page=1", 0, 200, cost{allocs: 65, reads: 8, writes: 4}},
		{"net", "GET /bytes/1048576", 0, 1 << 20, cost{allocs: 90, reads: 50, writes: 50}},
		{"net", "POST /discard", 64 << 10, 200, cost{allocs: 75, reads: 18, writes: 8}},
		{"loop", "GET /bytes/200?page=1", 0, 200, cost{allocs: 30, reads: 3, writes: 3}},
		{"loop", "GET /bytes/1048576", 0, 1 << 20, cost{allocs: 60, reads: 50, writes: 50}},
	} {
		t.Run(tc.front+" "+tc.request, func(t *testing.T) {
			const warm, rounds, n = 100, 5, 500
			gate := startSluice(t, "--front", tc.front, "--backend", "unix:"+app, "--workers", "16")
			ask := keptClient(t, gate, tc.request, tc.body, tc.reply)
			ask(warm)
			var all []cost
			for range rounds {
				first := gate.cost(t)
				second := gate.cost(t)
				ask(n)
				all = append(all, gate.cost(t).less(second).less(second.less(first))) // a scrape has a cost, too
			}
			total := median(all)
			each := cost{total.allocs / n, total.reads / n, total.writes / n}
			t.Logf("for each request: %.1f allocations, %.1f reads, %.1f writes", each.allocs, each.reads, each.writes)
			if each.allocs > tc.most.allocs || each.reads > tc.most.reads || each.writes > tc.most.writes {
				t.Errorf("a request costs %+v, want at most %+v", each, tc.most)
			}
		})
	}
}

// A long-poll that waits in the gate costs its descriptor and a few kilobytes, once the program has come
// to rest: the bytes of its request, and its places in the loop, the gate and the limit of connections.
func TestCostOfWaiting(t *testing.T) {
	checkLeaks(t)
	const polls, workers = 4000, 4
	const most = 4.2 // KiB; what a burst leaves behind is in it, so more polls cost less each
	gate := watched(t, startSluice(t, "--backend", "unix:"+startBackend(t), "--workers", strconv.Itoa(workers), "--long-poll", "/hold/*",
		"--queue-long-size", strconv.Itoa(polls), "--queue-long-timeout", "5m"))
	before, files := memoryOf(t, gate.Process.Pid), openFiles(t, gate.Process.Pid)
	park(t, gate.url, polls, "/hold/4m")
	eventually(t, "all polls wait", func() error {
		state, err := gate.ask()
		if err == nil && state.InFlight < polls {
			err = fmt.Errorf("%d requests are in the gate", state.InFlight)
		}
		return err
	})
	var each float64
	eventually(t, fmt.Sprintf("each of %d polls takes at most %.1f KiB", polls, most), func() error {
		if each = float64(memoryOf(t, gate.Process.Pid).rss-before.rss) / polls; each > most {
			return fmt.Errorf("it takes %.1f KiB", each)
		}
		return nil
	})
	opened := openFiles(t, gate.Process.Pid) - files
	t.Logf("for each poll: %.1f KiB, %.2f descriptors", each, float64(opened)/polls)
	if limit := polls + 2*workers + 16; opened > limit { // each worker has a connection; the status has some
		t.Errorf("%d polls take %d descriptors, want at most %d", polls, opened, limit)
	}
}

// cost is what a program has done.
type cost struct {
	allocs float64 // of memory
	reads  float64 // calls, with those that had to wait
	writes float64 // the same
}

func (c cost) less(d cost) cost {
	return cost{c.allocs - d.allocs, c.reads - d.reads, c.writes - d.writes}
}

// median is the one in the middle, of each number. The runtime counts allocations when it takes or gives back memory
// for many of them, so a round in which it collects garbage may be wrong by thousands, in either direction.
func median(list []cost) cost {
	of := func(number func(cost) float64) float64 {
		var all []float64
		for _, c := range list {
			all = append(all, number(c))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return cost{
		of(func(c cost) float64 { return c.allocs }), of(func(c cost) float64 { return c.reads }), of(func(c cost) float64 { return c.writes }),
	}
}

// cost is what the gate has done since it was started.
func (s sluice) cost(t testing.TB) (c cost) {
	t.Helper()
	c.allocs = s.metrics(t)["go_memstats_mallocs_total"]
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", s.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "syscr: %f", &c.reads) // or another line
		_, _ = fmt.Sscanf(line, "syscw: %f", &c.writes)
	}
	if c.allocs == 0 || c.reads == 0 || c.writes == 0 {
		t.Fatalf("%+v is not what was counted; /proc/PID/io says\n%s", c, text)
	}
	return c
}

// keptClient returns what sends a request so many times, on one connection, and checks the answers.
func keptClient(t testing.TB, gate sluice, requestLine string, body, reply int) func(times int) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(gate.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	request := []byte(requestLine + " HTTP/1.1\r\n" + benchHeader)
	if body > 0 {
		request = fmt.Appendf(request, "Content-Length: %d\r\n", body)
	}
	request = append(append(request, "\r\n"...), bytes.Repeat([]byte("x"), body)...)
	in := bufio.NewReader(conn)
	return func(times int) {
		t.Helper()
		for range times {
			if _, err := conn.Write(request); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK || n != int64(reply) {
				t.Fatalf("%s: status %d with %d bytes, %v", requestLine, resp.StatusCode, n, err)
			}
		}
	}
}
