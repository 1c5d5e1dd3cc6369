package memlimit

import (
	"os"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proctest"
)

func TestMain(m *testing.M) {
	proctest.Main()
	os.Exit(leakcheck.Main(m))
}
