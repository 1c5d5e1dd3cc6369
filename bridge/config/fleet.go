package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Fleet says with which other gates this one shares the application's workers. Only Engine must be
// set. docs/fleet.md says what the values do together.
type Fleet struct {
	// Engine may have a password; it is not told anybody.
	Engine string `key:"engine" value:"URL" change:"backend" otherwise:"this gate has all workers" doc:"other gates share the workers by the Redis or Valkey at URL: redis://[user:password@]host:port/database, rediss:// for TLS, or unix:///path"`
	Gates  int    `key:"gates" default:"2" change:"backend" doc:"how many gates there are at most; without {fleet.engine}, each uses its part of {workers}"`
	// The processes of a gate that follow each other have the same Name, and no other gate has it.
	Name string `key:"name" value:"NAME" change:"backend" otherwise:"the name of the host" doc:"NAME of this gate, unlike any other's"`
	// Gates of the same Application must agree on Workers and Gates.
	Application string `key:"application" value:"NAME" change:"backend" otherwise:"the {backends}, with commas" doc:"NAME of the application, the same for all of its gates"`
	// Settle bounds what an application sees when a gate ends unexpectedly.
	Settle Duration `key:"settle" default:"30s" change:"backend" doc:"how long requests may take at most, as a rule: the workers of a gate that has vanished are given to others after that"`
	Forget Duration `key:"forget" default:"10m" change:"backend" doc:"how long a gate that has vanished has its part reserved, in case it is there and cannot reach {fleet.engine}"`
}

// checkFleet checks the settings of the fleet, and fills in what depends on others.
func (a *Application) checkFleet() error {
	f := &a.Fleet
	if f.Engine == "" {
		if f.Name != "" || f.Application != "" {
			return errors.New("fleet.engine: none given, and fleet.name and fleet.application mean nothing without one")
		}
		return nil
	}
	if a.Spawn != nil {
		return errors.New("fleet.engine: given, and so is spawn: no other gate uses a program that this one starts")
	}
	if f.Gates > a.Workers {
		return fmt.Errorf("fleet.gates: is %d, and the application has %d workers (workers): each gate needs one at least", f.Gates, a.Workers)
	}
	if f.Name == "" {
		name, err := os.Hostname()
		if err != nil || name == "" {
			return fmt.Errorf("fleet.name: none given, and the host has no name: %w", err)
		}
		f.Name = name
	}
	if f.Application == "" {
		f.Application = strings.Join(a.Backends, ",")
	}
	for key, v := range map[string]string{"fleet.name": f.Name, "fleet.application": f.Application} {
		if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return fmt.Errorf("%s: is %q, must have no spaces", key, v)
		}
	}
	return nil
}
