package spool

import (
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
)

func TestMain(m *testing.M) {
	if os.Getenv(fullDiskDir) != "" {
		os.Exit(onFullDisk())
	}
	os.Exit(leakcheck.Main(m))
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
