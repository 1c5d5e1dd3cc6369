//go:build linux

package main

import (
	"net"
	"slices"
	"testing"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/systemd"
)

// Another process is given the environment of this one, without what systemd has said to this one alone.
func TestNextEnvironment(t *testing.T) {
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "2")
	t.Setenv("LISTEN_ADDRESS", "an application's own")
	env := thisProcess().env
	if !slices.Contains(env, "LISTEN_ADDRESS=an application's own") {
		t.Error("a variable that only begins as those of systemd is missing")
	}
	if slices.Contains(env, "LISTEN_PID=1") || slices.Contains(env, "LISTEN_FDS=2") {
		t.Errorf("sockets of another process are announced: %v", env)
	}
}

// Another process is given the sockets of systemd that no address names yet: its file may name them.
func TestOfferUnnamedSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	s := &sockets{systemd: new(systemd.Sockets)}
	s.systemd.Add("web", file)
	defer s.systemd.Close()
	list, err := s.offer()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Name != "web" || list[0].Key != "" {
		t.Fatalf("%+v", list)
	}
	next := &sockets{systemd: new(systemd.Sockets)}
	if err := next.receive(list); err != nil {
		t.Fatal(err)
	}
	taken, err := next.systemd.Take("web")
	if err != nil || len(taken) != 1 || taken[0].Addr().String() != l.Addr().String() {
		t.Fatalf("%v, %v", taken, err)
	}
	_ = taken[0].Close()
	if names := s.systemd.Names(); !slices.Equal(names, []string{"web"}) {
		t.Errorf("the former process has %v left", names)
	}
}
