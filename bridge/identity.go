package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// ErrOtherKind says that a backend cannot become what a configuration asks for while it is
// in use, or serve such a site: that needs a Backend of its own.
var ErrOtherKind = errors.New("this cannot be changed while the application is in use")

// address is where an instance is, however it is written.
type address struct{ network, addr string }

// addressOf is for what may be no address: that is then like no other.
func addressOf(backend string) address {
	network, addr, err := ParseAddress(backend)
	if err != nil {
		return address{"", backend}
	}
	return address{network, addr}
}

// Addresses are those of Backends in one way of writing, in order.
func (c Config) Addresses() []string {
	list := make([]string, len(c.Backends))
	for i, backend := range c.Backends {
		a := addressOf(backend)
		if list[i] = a.addr; a.network == "unix" {
			list[i] = "unix:" + a.addr
		}
	}
	slices.Sort(list)
	return list
}

// Identity is the same for configurations that mean the same backend: for the same set of
// addresses, or for what is spawned as the same program, with the same environment, as the
// same user.
func (c Config) Identity() string {
	identity := struct {
		Backends []string     `json:"backends,omitempty"`
		Spawn    *SpawnConfig `json:"spawn,omitempty"`
	}{Backends: c.Addresses()}
	if s := c.Spawn; s != nil {
		identity.Spawn = &SpawnConfig{
			Command: s.Command, Dir: s.Dir, Env: s.Env, EnvCopy: s.EnvCopy, User: s.User, Group: s.Group, Umask: s.Umask, Nice: s.Nice,
			OpenFiles: s.OpenFiles, Core: s.Core, AddressSpace: s.AddressSpace, Listen: s.Listen, Backlog: s.Backlog,
		}
	}
	text, err := json.Marshal(identity)
	if err != nil {
		panic(err) // texts and numbers
	}
	return string(text)
}

// appKind is what cannot be changed in place.
type appKind struct {
	spawned   bool
	listen    string // of what is spawned
	lanes     Switch
	preset    string // "app" for all that are servers
	multiplex pool.Multiplex
}

// kind is that of a normalized configuration.
func (c *Config) kind() appKind {
	k := appKind{lanes: c.Lanes, preset: c.Preset, multiplex: c.multiplex()}
	if c.servers() {
		k.preset = cgi.PresetApp
	}
	if c.Spawn != nil {
		k.spawned, k.listen = true, c.Spawn.Listen
	}
	return k
}

// sameAs returns an error that names what differs from what holds now.
func (k appKind) sameAs(now appKind) error {
	for _, f := range []struct {
		key  string
		same bool
	}{
		{"spawn", k.spawned == now.spawned},
		{"spawn.listen", k.listen == now.listen},
		{"lanes", k.lanes == now.lanes},
		{"preset", k.preset == now.preset},
		{"multiplex, keep_alive", k.multiplex == now.multiplex},
	} {
		if !f.same {
			return fmt.Errorf("%s: %w", f.key, ErrOtherKind)
		}
	}
	return nil
}
