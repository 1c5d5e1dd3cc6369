package bridge

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/spool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// Configure has what cfg says of the backend hold from now on, in place: connections,
// requests, processes and what was learned stay. Backends that are added get requests at
// once; those that are missing get no more, and are forgotten when their last one has
// ended. Processes are replaced, without losing a request, only if another command,
// environment, user or the like is to run. What cfg says of a site means nothing, and
// functions and the Logger stay as they are.
//
// ErrOtherKind says that this cannot be changed in place: Spawn or Spawn.Listen, Lanes,
// Multiplex, or a Preset of scripts for one of servers. If Configure fails, nothing is
// changed.
func (b *Backend) Configure(cfg Config) error {
	b.configuring.Lock()
	defer b.configuring.Unlock()
	old := b.settings.Load()
	next, err := cfg.succeed(old)
	if err != nil {
		return err
	}
	// The gate is last: it asks the pool what there is room for.
	steps := []func(old, next *Config) error{b.configureProcesses, b.configureSpool, b.configurePool, b.configureMembers, b.configureGate}
	for i, step := range steps {
		if err := step(old, next); err != nil {
			for _, undo := range steps[:i] {
				err = errors.Join(err, undo(next, old))
			}
			return err
		}
	}
	b.settings.Store(next)
	return nil
}

// CanBecome reports what Configure would refuse without trying it: a cfg that is not in
// order, or ErrOtherKind.
func (b *Backend) CanBecome(cfg Config) error {
	_, err := cfg.succeed(b.settings.Load())
	return err
}

// succeed completes c to take the place of old.
func (c Config) succeed(old *Config) (*Config, error) {
	c.Logger, c.OnStall, c.OnOutage, c.OnGivenUp = old.Logger, old.OnStall, old.OnOutage, old.OnGivenUp
	c.dial, c.unread, c.startGroup = old.dial, old.unread, old.startGroup
	if err := c.normalize(); err != nil {
		return nil, err
	}
	if _, err := c.instances(); err != nil {
		return nil, err
	}
	if err := c.cgi().Validate(); err != nil {
		return nil, err
	}
	return &c, c.kind().sameAs(old.kind())
}

func (b *backend) configureProcesses(_, next *Config) error {
	if b.processes == nil {
		return nil
	}
	err := b.processes.Configure(b.group(next))
	if errors.Is(err, supervise.ErrOtherKind) {
		err = errors.Join(ErrOtherKind, err)
	}
	if err != nil {
		return fmt.Errorf("spawn: %w", err)
	}
	return nil
}

// configureSpool has bodies that come from now on go to another store. For as long as the
// others take, there are both.
func (b *backend) configureSpool(old, next *Config) error {
	if old.Spool == next.Spool {
		return nil
	}
	store, err := spool.New(next.spool())
	if err == nil {
		b.spool.Store(store)
	}
	return err
}

func (b *backend) configureGate(_, next *Config) error { return b.gate.Configure(next.gate()) }

func (b *backend) configurePool(_, next *Config) error { return b.pool.Configure(next.pool(nil)) }

func (b *backend) configureMembers(_, next *Config) error { return b.members.set(next) }

// AgreesWith returns nil if sites of both configurations can be in front of one backend:
// what they say of it is the same, defaults filled in. Else the error names the first key
// in which they differ, and both values.
func (c Config) AgreesWith(other Config) error {
	for _, cfg := range []*Config{&c, &other} {
		if err := cfg.normalize(); err != nil {
			return err
		}
	}
	one, two := c.common(), other.common()
	for i := range one {
		if !reflect.DeepEqual(one[i].value, two[i].value) {
			return one[i].differs(two[i])
		}
	}
	return nil
}

// setting is a value of a Config.
type setting struct {
	key   string
	value any
}

// differs says so, of a setting with the same key. Lists may be long, and an environment
// secret.
func (s setting) differs(other setting) error {
	switch reflect.TypeOf(s.value).Kind() {
	case reflect.Map, reflect.Slice:
		return fmt.Errorf("%s: differs", s.key)
	}
	return fmt.Errorf("%s: is %s and %s", s.key, shown(s.value), shown(other.value))
}

// common is what a normalized configuration says of the backend.
func (c *Config) common() []setting {
	list := []setting{
		{"backends", c.Addresses()},
		{"spawn", c.Spawn != nil},
		{"preset", c.kind().preset},
		{"lanes", c.Lanes},
		{"multiplex", c.Multiplex},
		{"workers", c.Workers},
		{"keep_alive", c.KeepAlive},
		{"reserve", c.Reserve},
		{"queue.size", c.Queue.Size},
		{"queue.long_size", c.Queue.LongSize},
		{"queue.timeout", c.Queue.Timeout},
		{"queue.long_timeout", c.Queue.LongTimeout},
		{"flow.limit", c.Flow.Limit},
		{"timeouts.dial", c.Timeouts.Dial},
		{"timeouts.send", c.Timeouts.Send},
		{"timeouts.idle", c.Timeouts.Idle},
	}
	list = append(list, fields("admission.", reflect.ValueOf(c.Admission))...)
	list = append(list, fields("spool.", reflect.ValueOf(c.Spool))...)
	if c.Spawn != nil {
		list = append(list, fields("spawn.", reflect.ValueOf(*c.Spawn))...)
	}
	return list
}

// fields are a struct's, by their keys.
func fields(prefix string, of reflect.Value) (list []setting) {
	for field, value := range of.Fields() {
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		list = append(list, setting{prefix + key, value.Interface()})
	}
	return list
}

// shown is a value as it is written in a configuration.
func shown(value any) string {
	if v := reflect.ValueOf(value); v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "not set"
		}
		value = v.Elem().Interface()
	}
	if m, ok := value.(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(value)
}
