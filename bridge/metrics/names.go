package metrics

import (
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bridge"
)

// names are what instances are called in labels, by address.
type names map[string]string

// nameInstances gives every instance a name of its own. That is the address where
// instances stay. Where Sluice starts them, each has a new address, and is called by its
// number, which is used again.
func nameInstances(s *bridge.Snapshot) names {
	n := names{}
	taken := map[string]bool{}
	give := func(addr, base string) {
		name := base
		for i := 2; taken[name]; i++ {
			name = base + "-" + strconv.Itoa(i)
		}
		n[addr], taken[name] = name, true
	}
	if g := s.Processes; g != nil {
		for i := range g.Instances {
			give(g.Instances[i].Addr, strconv.Itoa(g.Instances[i].Number))
		}
	}
	for _, in := range s.Pool.Instances {
		switch {
		case n[in.Addr] != "":
		case s.Processes != nil: // it came or went between the two snapshots
			give(in.Addr, "unknown")
		default:
			give(in.Addr, strings.ToValidUTF8(in.Addr, "\uFFFD"))
		}
	}
	return n
}
