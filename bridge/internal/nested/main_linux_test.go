package nested

import (
	"os"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
)

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		os.Exit(application())
	}
	os.Exit(leakcheck.Main(m))
}
