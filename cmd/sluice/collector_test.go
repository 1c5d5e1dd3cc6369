package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 6 << 20: 400, 12 << 20: 200, 24 << 20: 100, 48 << 20: 50, 1 << 30: 25} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d live bytes: %d, want %d", live, got, want)
		}
	}
}

// The percentage follows the heap, up and down.
func TestCollectorFollowsTheHeap(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	t.Setenv("GOGC", "100")
	setCollector() // somebody has said how
	if got := percentNow(); got != 100 {
		t.Fatalf("GOGC=100 has become %d", got)
	}
	t.Setenv("GOGC", "")
	setCollector()
	await := func(what string, right func(percent int) bool) {
		t.Helper()
		for range 500 {
			runtime.GC()
			time.Sleep(10 * time.Millisecond) // the finalizer runs meanwhile
			if right(percentNow()) {
				return
			}
		}
		t.Errorf("%s: the percentage is %d", what, percentNow())
	}
	large := make([]byte, 200<<20)
	await("200 MiB are live", func(percent int) bool { return percent < 40 })
	runtime.KeepAlive(large)
	await("they are not", func(percent int) bool { return percent > 100 })
}

func percentNow() int {
	p := debug.SetGCPercent(100)
	debug.SetGCPercent(p)
	return p
}
