package hold

import (
	"os"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m)) }
