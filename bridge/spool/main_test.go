package spool

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv(fullDiskDir) != "" {
		os.Exit(onFullDisk())
	}
	os.Exit(leakChecked(m))
}

// leakChecked runs the tests and fails if they leave goroutines or descriptors.
func leakChecked(m *testing.M) int {
	// The runtime opens its network poller with the first pipe and keeps it.
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	r.Close()
	w.Close()
	descriptors, goroutines := countDescriptors(), runtime.NumGoroutine()
	code := m.Run()
	// A goroutine that has done all its work still needs a turn to end.
	for giveUp := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(giveUp); {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		stacks := make([]byte, 1<<20)
		fmt.Fprintf(os.Stderr, "%d goroutines left, %d before the tests\n%s\n", n, goroutines, stacks[:runtime.Stack(stacks, true)])
		return 1
	}
	if n := countDescriptors(); n > descriptors {
		fmt.Fprintf(os.Stderr, "%d descriptors open, %d before the tests\n", n, descriptors)
		return 1
	}
	return code
}

func countDescriptors() int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		panic(err)
	}
	return len(entries)
}

// newStore returns a store in a directory of its own, which must hold nothing
// when the test ends.
func newStore(t testing.TB, c Config) *Store {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if got := s.Stats(); got != (Stats{}) {
			t.Errorf("in use at the end: %+v", got)
		}
	})
	return s
}

func wantStats(t *testing.T, s *Store, want Stats) {
	t.Helper()
	if got := s.Stats(); got != want {
		t.Errorf("in use: %+v, want %+v", got, want)
	}
}

func mustWrite(t testing.TB, w interface{ Write([]byte) (int, error) }, p []byte) {
	t.Helper()
	if n, err := w.Write(p); n != len(p) || err != nil {
		t.Fatalf("Write of %d bytes = %d, %v", len(p), n, err)
	}
}

// noise has no stretch that repeats. Nobody modifies it.
var noise = sync.OnceValue(func() []byte {
	p := make([]byte, 2<<20)
	rand.NewChaCha8([32]byte{1}).Read(p)
	return p
})

// pattern returns the first n bytes of noise.
func pattern(n int) []byte { return noise()[:n:n] }
