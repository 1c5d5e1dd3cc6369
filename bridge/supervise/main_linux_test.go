package supervise

import (
	"os"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
)

func TestMain(m *testing.M) {
	Child()
	if os.Getenv(holderVariable) != "" {
		hold()
		return
	}
	os.Exit(leakcheck.Main(m))
}
