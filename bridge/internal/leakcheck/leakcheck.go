package leakcheck

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// patience is how long goroutines and descriptors that are on their way out get.
const patience = 5 * time.Second

// Main is a TestMain: it runs m and returns the exit status.
func Main(m *testing.M) int {
	// The runtime opens its network poller with the first pipe and keeps it.
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, _ = r.Close(), w.Close()
	goroutines, descriptors := runtime.NumGoroutine(), Descriptors()
	if code := m.Run(); code != 0 {
		return code
	}
	if !within(patience, func() bool { return runtime.NumGoroutine() <= goroutines }) {
		stacks := make([]byte, 1<<20)
		fmt.Fprintf(os.Stderr, "%d goroutines left, %d before the tests\n%s\n",
			runtime.NumGoroutine(), goroutines, stacks[:runtime.Stack(stacks, true)])
		return 1
	}
	if !within(patience, func() bool { return Descriptors() <= descriptors }) {
		fmt.Fprintf(os.Stderr, "%d descriptors open, %d before the tests\n", Descriptors(), descriptors)
		return 1
	}
	return 0
}

// Descriptors returns how many files this process has open.
func Descriptors() int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		panic(err)
	}
	return len(entries)
}

// within gives others a turn until ok, or until d has passed.
func within(d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
