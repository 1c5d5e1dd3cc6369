//go:build linux

package integration

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
)

// checkLeaks counts goroutines and file descriptors now, and again after every
// other clean-up of the test. Call it first.
func checkLeaks(t testing.TB) {
	t.Helper()
	goroutines, fds := runtime.NumGoroutine(), openFiles(t, os.Getpid())
	t.Cleanup(func() {
		var stacks strings.Builder
		t.Cleanup(func() {
			if t.Failed() {
				t.Log(stacks.String())
			}
		})
		eventually(t, "goroutines and files are back at what they were", func() error {
			g, f := runtime.NumGoroutine(), openFiles(t, os.Getpid())
			if g <= goroutines && f <= fds {
				return nil
			}
			stacks.Reset()
			pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			return fmt.Errorf("%d goroutines, were %d; %d files, were %d", g, goroutines, f, fds)
		})
	})
}

// openFiles counts a process's file descriptors.
func openFiles(t testing.TB, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
