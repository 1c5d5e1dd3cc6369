package main

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/spool"
)

const (
	// maxDefaultConnections bounds the default of --max-connections, because connections take
	// memory, too.
	maxDefaultConnections = 16 << 10
	// minConnections is the least number of client connections to start with.
	minConnections = 16
	// statusConnections is how many connections the status listener has.
	statusConnections = 128
	// ownDescriptors are for listeners, logs, event loops (eight at most, four each) and the runtime.
	ownDescriptors = 64
	// perInstance are for a process of the application: its pipes, its socket.
	perInstance = 8
)

// descriptorLimit returns how many descriptors this process may have. The runtime has raised the
// limit to what the system allows.
func descriptorLimit() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("how many files may be open: %w", err)
	}
	return int(min(uint64(limit.Cur), 1<<24)), nil
}

// connections returns how many connections clients may have, and how many more may wait, so that
// descriptors are left for the rest: a connection to the application for each worker, temporary files
// (as package spool bounds them for each application, and a quarter for all), the status listener, and static files.
func (s *setup) connections(limit int) (most, waiting int, err error) {
	files := min(len(s.Applications)*spool.DefaultFiles(limit), limit/4)
	others, workers := files+statusConnections+ownDescriptors, 0
	for _, a := range s.Applications {
		instances := len(a.Backends)
		if a.Spawn != nil {
			instances = a.Spawn.MaxInstances
		}
		instances++ // one more while one is replaced
		others += a.Workers*instances + perInstance*instances
		workers += a.Workers
	}
	room := limit - others
	if s.serveStatic() {
		room /= 2 // each connection may be sent a file
	}
	room -= room / 9 // an eighth of the rest may wait
	if len(s.Server.ProxyProtocol) > 0 {
		room -= room / 9 // and an eighth be on its way with a header
	}
	switch given := s.Server.MaxConnections; {
	case room < minConnections:
		return 0, 0, fmt.Errorf("this process may open %d files, which is too few: %d are for the applications and Sluice itself (%s: %d); raise the limit (ulimit -n, or LimitNOFILE= of systemd)", limit, others, s.nameOf("workers"), workers)
	case given > room:
		return 0, 0, fmt.Errorf("max_connections: is %d: this process may open %d files, and %d connections are what these have room for beside the rest; raise the limit (ulimit -n, or LimitNOFILE= of systemd)", given, limit, room)
	case given > 0:
		most = given
	default:
		most = min(room, maxDefaultConnections)
	}
	return most, max(most/8, 1), nil
}

// serveStatic reports whether files may be sent as they are.
func (s *setup) serveStatic() bool {
	return slices.ContainsFunc(s.Sites, func(site *config.HostedSite) bool {
		switch {
		case len(site.Sendfile) > 0:
			return true
		case s.onlyWebServers():
			return false // which send them themselves
		case site.CheckFiles == config.Off && len(site.StaticDirs) == 0:
			return false
		case site.Static == "":
			return s.applicationOf(site).Preset != config.PresetApp || len(site.StaticTypes)+len(site.StaticDirs) > 0
		}
		return site.Static != config.StaticOff
	})
}

// proxies returns a function that reports whether an address is one of trusted_proxies.
func proxies(trusted []string) func(netip.Addr) bool {
	var networks []netip.Prefix
	unix := false
	for _, text := range trusted {
		if text == "unix" {
			unix = true
		} else if addr, err := netip.ParseAddr(text); err == nil {
			networks = append(networks, netip.PrefixFrom(addr, addr.BitLen()))
		} else if network, err := netip.ParsePrefix(text); err == nil {
			networks = append(networks, network)
		} // otherwise bridge.New returns an error
	}
	return func(addr netip.Addr) bool {
		if !addr.IsValid() {
			return unix
		}
		for _, n := range networks {
			if n.Contains(addr) {
				return true
			}
		}
		return false
	}
}
