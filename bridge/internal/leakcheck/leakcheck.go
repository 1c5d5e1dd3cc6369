package leakcheck

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"testing"
	"time"
)

// grace is how long goroutines may take to end, and descriptors to be closed.
const grace = 5 * time.Second

// Main is a TestMain: it runs m and returns the exit status.
func Main(m *testing.M) int {
	// The runtime opens its network poller with the first pipe and keeps it.
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, _ = r.Close(), w.Close()
	// So does package os/signal with a goroutine, which fuzzing needs.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	signal.Stop(signals)
	goroutines, descriptors := runtime.NumGoroutine(), Descriptors()
	if code := m.Run(); code != 0 {
		return code
	}
	if !within(grace, func() bool { return runtime.NumGoroutine() <= goroutines }) {
		stacks := make([]byte, 1<<20)
		fmt.Fprintf(os.Stderr, "%d goroutines left, %d before the tests\n%s\n",
			runtime.NumGoroutine(), goroutines, stacks[:runtime.Stack(stacks, true)])
		return 1
	}
	if !within(grace, func() bool { return Descriptors() <= descriptors }) {
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

// within yields to other goroutines until ok returns true, or d has passed.
func within(d time.Duration, ok func() bool) bool {
	for end := time.Now().Add(d); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
