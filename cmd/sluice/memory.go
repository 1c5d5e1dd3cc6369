package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// restLook is how often memoryKeeper looks.
	restLook = 500 * time.Millisecond
	// restBelow is how much is allocated between two looks at most while the program is at rest, in
	// bytes: a few dozen requests.
	restBelow = 128 << 10
	// restWorth is how much must have been allocated for a collection to be worth its time, in bytes.
	restWorth = 2 << 20
)

// memoryKeeper gives memory back to the system when the program comes to rest. Before garbage is
// collected the heap grows by heapSlack, and Go's runtime keeps that room. Behind a burst of clients
// that wait from then on, that would be for as long as they wait.
type memoryKeeper struct {
	stop chan struct{}
	done chan struct{}
}

func startMemoryKeeper() *memoryKeeper {
	k := &memoryKeeper{make(chan struct{}), make(chan struct{})}
	go k.run()
	return k
}

// close ends the keeper, and waits for that.
func (k *memoryKeeper) close() {
	close(k.stop)
	<-k.done
}

func (k *memoryKeeper) run() {
	defer close(k.done)
	tick := time.NewTicker(restLook)
	defer tick.Stop()
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	var r rest
	for {
		select {
		case <-k.stop:
			return
		case <-tick.C:
		}
		if metrics.Read(sample); r.begins(sample[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}

// rest tells when the program comes to rest, by what it allocates.
type rest struct {
	last  uint64 // what was allocated at the last look, in all
	freed uint64 // and when it came to rest last
}

// begins reports whether the program has come to rest after it did something worth a collection.
// allocated is what it has allocated since its start, in bytes.
func (r *rest) begins(allocated uint64) bool {
	quiet := allocated-r.last < restBelow
	if r.last = allocated; !quiet || allocated-r.freed < restWorth {
		return false
	}
	r.freed = allocated
	return true
}
