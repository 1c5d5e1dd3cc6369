package memlimit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A record may name any cgroup: others than those of this package are left alone.
func TestRemoveCgroup(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	gone := filepath.Join(dir, cgroupPrefix+"GONE")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := RemoveCgroup(other); err == nil || !strings.Contains(err.Error(), "none of ours") {
		t.Errorf("another's: %v", err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("another's: %v", err)
	}
	if err := RemoveCgroup(gone); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
}
