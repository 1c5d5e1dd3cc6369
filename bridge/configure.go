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
// changed, nor was.
func (b *Backend) Configure(cfg Config) error {
	c, err := b.Prepare(cfg)
	if err != nil {
		return err
	}
	c.Commit()
	return nil
}

// Change is a configuration of a Backend that nothing speaks against. Commit or Cancel must
// be called, once. Other changes may come first: the last to be committed holds.
type Change struct {
	backend   *backend
	next      *Config
	spool     *spool.Store // nil: the one there is
	processes processChange
}

// Prepare does all of Configure that can fail, and nothing that a request, a connection or a
// process notices. So several Backends can be changed, or none.
func (b *Backend) Prepare(cfg Config) (*Change, error) {
	b.configuring.Lock()
	defer b.configuring.Unlock()
	next, err := b.next(cfg)
	if err != nil {
		return nil, err
	}
	c := &Change{backend: b.backend, next: next}
	if b.settings.Load().Spool != next.Spool {
		if c.spool, err = spool.New(next.spool()); err != nil {
			return nil, err
		}
	}
	c.processes, err = b.prepareProcesses(next)
	return c, err
}

// Commit puts the configuration in force. The gate comes last: it asks the pool what there
// is room for.
func (c *Change) Commit() {
	b := c.backend
	b.configuring.Lock()
	defer b.configuring.Unlock()
	b.settings.Store(c.next)
	if c.spool != nil {
		b.spool.Store(c.spool) // for as long as the bodies that are there take, there are both
	}
	// Prepare has checked all: what fails now does so because the backend is being closed.
	_ = b.pool.Configure(c.next.pool(nil))
	_ = b.members.set(c.next)
	c.processes.commit()
	_ = b.gate.Configure(c.next.gate())
}

// Cancel drops the configuration.
func (c *Change) Cancel() { c.processes.cancel() }

// CanBecome reports what Configure would refuse without trying it: a cfg that is not in
// order, or ErrOtherKind.
func (b *Backend) CanBecome(cfg Config) error {
	_, err := b.next(cfg)
	return err
}

// next is cfg, completed to take the place of what holds now.
func (b *backend) next(cfg Config) (*Config, error) {
	next, err := cfg.succeed(b.settings.Load())
	if err == nil {
		err = errors.Join(b.pool.CanBecome(next.pool(nil)), b.gate.CanBecome(next.gate()))
	}
	return next, err
}

// succeed completes c to take the place of old.
func (c Config) succeed(old *Config) (*Config, error) {
	c.Logger, c.OnStall, c.OnOutage, c.OnGivenUp = old.Logger, old.OnStall, old.OnOutage, old.OnGivenUp
	c.dial, c.unread, c.codec, c.startGroup = old.dial, old.unread, old.codec, old.startGroup
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

// processChange is the part of a Change that is about processes.
type processChange struct{ commit, cancel func() }

// prepareProcesses has the processes get ready for next.
func (b *backend) prepareProcesses(next *Config) (processChange, error) {
	none := processChange{func() {}, func() {}}
	if b.processes == nil {
		return none, nil
	}
	commit, cancel, err := b.processes.Prepare(b.group(next))
	if errors.Is(err, supervise.ErrOtherKind) {
		err = errors.Join(ErrOtherKind, err)
	}
	if err != nil {
		return none, fmt.Errorf("spawn: %w", err)
	}
	return processChange{commit, cancel}, nil
}

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
