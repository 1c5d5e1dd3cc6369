package bridge

import (
	"flag"
	"os"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // the fuzzer leaves a goroutine behind
	}
	os.Exit(leakcheck.Main(m))
}
