package spool

import (
	"bytes"
	"log/slog"
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
	if c.Files == 0 {
		c.Files = 1 << 20
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		got := held(s)
		got.Cut, got.Refused = 0, 0 // ever
		if got != (Stats{}) || s.wanted != 0 {
			t.Errorf("in use at the end: %+v, %d wanted", got, s.wanted)
		}
		for _, sh := range s.shares {
			if sh != s.unused || sh.bodies != 0 || sh.memory != 0 || sh.disk != 0 || len(sh.cuttable) != 0 {
				t.Errorf("a share at the end: %+v", sh)
			}
		}
	})
	return s
}

// held is what a store's bodies hold.
func held(s *Store) Stats {
	stats := s.Stats()
	stats.DiskLimit = 0 // which they do not
	return stats
}

func wantStats(t *testing.T, s *Store, want Stats) {
	t.Helper()
	if got := held(s); got != want {
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

// lone is the size of a budget of which the answers of one client get n bytes.
func lone(n int64) int64 {
	for size := n; ; size++ {
		if size-2*(size/8) == n {
			return size
		}
	}
}

// alone is the size of a budget of which the requests of one client get n bytes.
func alone(n int64) int64 {
	for size := n; ; size++ {
		if size-size/8 == n {
			return size
		}
	}
}

// logText is what a logger was told.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func logged() (*slog.Logger, *logText) {
	text := new(logText)
	return slog.New(slog.NewTextHandler(text, nil)), text
}
