//go:build !race

package admission

import (
	"context"
	"fmt"
	"runtime"
	"testing"
)

// TestParkedRequestIsSmall parks as many requests as there may ever be, each of another client, and
// measures the gate's memory for one.
func TestParkedRequestIsSmall(t *testing.T) {
	const n = 100_000
	for name, kind := range map[string]struct {
		change  func(*Config)
		request func(i int) Request
	}{
		"long": {
			func(c *Config) { c.LongSize = 2 * n },
			func(i int) Request { return Request{Route: "poll", ClientKey: uint64(i + 1), Long: true} },
		},
		"no client": {
			func(c *Config) { c.LongSize = 2 * n },
			func(int) Request { return Request{Route: "poll", Long: true} },
		},
		"unknown": {
			func(c *Config) { c.LongSize = 2 * n },
			func(i int) Request { return Request{Route: "new", ClientKey: uint64(i + 1)} },
		},
		"plain queue": {
			func(c *Config) { c.Lanes, c.Size = false, 2*n },
			func(i int) Request { return Request{Route: "poll", ClientKey: uint64(i + 1)} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 16, kind.change)
			requests := make([]Request, n)
			for i := range requests {
				requests[i] = kind.request(i)
			}
			tickets := make([]Ticket, n)
			w := &visit{r: r}
			before := heapSize()
			for i := range requests {
				var err error
				if tickets[i], err = r.g.Enter(&requests[i], w); err != nil {
					t.Fatalf("number %d: %v", i, err)
				}
			}
			each := (heapSize() - before) / n
			t.Logf("%d bytes each", each)
			if each > 1024 {
				t.Errorf("%d bytes each, want 1024 at most", each)
			}
			if s := r.g.Snapshot(); s.Waiting < n-r.g.slots {
				t.Errorf("%d wait", s.Waiting)
			}
			for i := range tickets { // the last first: none starts
				tickets[n-1-i].Release()
			}
			runtime.KeepAlive(requests)
		})
	}
}

func heapSize() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestFreeSlotAllocatesNothing(t *testing.T) {
	for _, lanes := range []bool{true, false} {
		t.Run(fmt.Sprintf("lanes %v", lanes), func(t *testing.T) {
			r := newRig(t, 16, func(c *Config) { c.Lanes = lanes })
			q := Request{Route: "GET html /wiki/Start", Group: "GET html /wiki", ClientKey: 1, Method: "GET", Path: "/wiki/Start"}
			ctx := context.Background()
			n := testing.AllocsPerRun(1000, func() {
				ticket, err := r.g.Acquire(ctx, &q)
				if err != nil {
					t.Fatal(err)
				}
				ticket.At("unix:/run/app.sock")
				ticket.Done()
			})
			if n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
