package metrics

import (
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bridge"
)

// names maps the addresses of instances to their names in labels.
type names map[string]string

// nameInstances gives every instance a name. Where instances are permanent, the name is the
// address. Where Sluice starts them, each has a new address, and the name is the instance's number,
// which is reused.
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
		case s.Processes != nil: // the instance came or went between the two snapshots
			give(in.Addr, "unknown")
		default:
			give(in.Addr, strings.ToValidUTF8(in.Addr, "\uFFFD"))
		}
	}
	return n
}
