//go:build linux

package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/pool"
)

// The two kinds of gate that are compared.
const (
	lanesOn  = "on"
	lanesOff = "off"
)

// laneGate is a running gate, and where it tells its state.
type laneGate struct {
	sluice
	status string // URL
}

// startLanes runs sluice serve in front of the backend with its defaults, and
// further flags. Other tests wait in line for as long as this package is patient.
func startLanes(t testing.TB, kind string, be backend, args ...string) laneGate {
	t.Helper()
	return watched(t, startSluice(t, append(append(be.args(), "--lanes", kind, "--queue-timeout", "3s"), args...)...))
}

// watched is a program whose status is looked at.
func watched(t testing.TB, s sluice) laneGate {
	t.Helper()
	m := telling.FindStringSubmatch(s.output.String())
	if m == nil {
		t.Fatalf("no status listener in\n%s", s.output)
	}
	return laneGate{s, "http://" + m[1]}
}

var telling = regexp.MustCompile(`msg=serving .* status=(127\.0\.0\.1:\d+) `)

// told is what a gate tells in /status.json, as far as these tests look at it.
type told struct {
	InFlight int `json:"in_flight"`
	Gate     struct {
		InUse   int `json:"in_use"`
		Waiting int `json:"waiting"`
		Long    int `json:"long"`
		LongCap int `json:"long_cap"`

		Upgraded    int `json:"upgraded"`
		MaxUpgraded int `json:"max_upgraded"`

		Lanes  map[string]laneTold `json:"lanes"`
		Routes []struct {
			Route string  `json:"route"`
			Lane  string  `json:"lane"`
			Short int     `json:"short"`
			Long  int     `json:"long"`
			Work  float64 `json:"work"`
		} `json:"routes"`
	} `json:"gate"`
	Pool struct {
		Instances []pool.InstanceSnapshot `json:"instances"`
	} `json:"pool"`
}

type laneTold struct {
	InFlight int            `json:"in_flight"`
	Waiting  int            `json:"waiting"`
	Started  int            `json:"started"`
	Refused  map[string]int `json:"refused"`
	Left     int            `json:"left"`
}

// ask asks the gate for its state.
func (g laneGate) ask() (state told, err error) {
	resp, err := http.Get(g.status + "/status.json")
	if err != nil {
		return state, err
	}
	defer resp.Body.Close()
	return state, json.NewDecoder(resp.Body).Decode(&state)
}

// describe says what the gate tells.
func (g laneGate) describe() string {
	state, err := g.ask()
	if err != nil {
		return fmt.Sprintf("status.json: %v", err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "the gate: %d in use, %d waiting, %d long of at most %d",
		state.Gate.InUse, state.Gate.Waiting, state.Gate.Long, state.Gate.LongCap)
	for _, name := range []string{"short", "unknown", "mixed", "long"} {
		fmt.Fprintf(&text, "\n    %-8s %+v", name, state.Gate.Lanes[name])
	}
	for _, r := range state.Gate.Routes {
		fmt.Fprintf(&text, "\n    %+v", r)
	}
	return text.String()
}

// awaitIdle waits until no request is inside the gate.
func (g laneGate) awaitIdle(t testing.TB) {
	t.Helper()
	eventually(t, "the gate is idle", func() error {
		state, err := g.ask()
		if err == nil && (state.InFlight > 0 || state.Gate.InUse > 0 || state.Gate.Waiting > 0) {
			return errNotYet
		}
		return err
	})
}
