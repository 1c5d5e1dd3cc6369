//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// TestMain builds the program that the tests run.
func TestMain(m *testing.M) {
	supervise.Child()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-o", binary, "github.com/sluice-proxy/sluice/cmd/sluice")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building sluice:", err)
		return 1
	}
	os.Setenv(binaryVariable, binary)
	return m.Run()
}

// binaryVariable is where TestMain leaves the path of the program it built.
const binaryVariable = "SLUICE_TEST_BINARY"

func sluiceBinary() string { return os.Getenv(binaryVariable) }
