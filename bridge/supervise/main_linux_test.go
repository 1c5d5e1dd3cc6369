package supervise

import (
	"os"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proctest"
)

func TestMain(m *testing.M) {
	Child()
	proctest.Main()
	os.Exit(leakcheck.Main(m))
}
