//go:build linux

package integration

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// gate steers requests inside an application; see Routes in the package
// documentation.
type gate struct {
	dir      string
	in, goes *os.File
}

func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{dir: t.TempDir()}
	g.in, g.goes = fifo(t, g.dir, "in"), fifo(t, g.dir, "go")
	t.Cleanup(func() {
		// Whoever still waits reads the end of the FIFO.
		g.goes.Close()
		g.in.Close()
	})
	return g
}

func fifo(t testing.TB, dir, name string) *os.File {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	// Both ways, so that neither this open nor the application's one blocks.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// entered waits until n requests are in /wait.
func (g *gate) entered(t testing.TB, n int) {
	t.Helper()
	if err := g.in.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := g.in.Read(make([]byte, 1)); err != nil {
			t.Fatalf("%d of %d requests entered the application: %v", i, n, err)
		}
	}
}

// pass lets one request go one step.
func (g *gate) pass(t testing.TB) {
	t.Helper()
	if _, err := g.goes.Write([]byte{'g'}); err != nil {
		t.Fatal(err)
	}
}

// open lets one request go all the way, even one that comes later.
func (g *gate) open(t testing.TB) {
	t.Helper()
	if _, err := g.goes.Write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
}
