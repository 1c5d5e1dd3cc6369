package config

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// MarshalJSON encodes the settings that are not zero. Groups are objects.
func (c Config) MarshalJSON() ([]byte, error) {
	root := make(map[string]any)
	if c.Spawn != nil {
		object(root, "spawn")
	}
	if c.Authorizer != nil {
		object(root, "authorizer")
	}
	if c.Hold != nil {
		object(root, "hold")
	}
	for _, s := range Settings {
		v := s.value(&c, false)
		if !v.IsValid() || v.IsZero() || (s.IsList() || s.IsMap()) && v.Len() == 0 {
			continue
		}
		group, name, _ := cutLast(s.Key)
		object(root, group)[name] = v.Interface()
	}
	return json.Marshal(root)
}

// object returns the object of a group, and creates it if necessary.
func object(root map[string]any, group string) map[string]any {
	if group == "" {
		return root
	}
	above, name, _ := cutLast(group)
	parent := object(root, above)
	if parent[name] == nil {
		parent[name] = make(map[string]any)
	}
	return parent[name].(map[string]any)
}

// UnmarshalJSON decodes what MarshalJSON encodes. Sizes may also be texts such as "20MiB".
// Settings that are absent stay unchanged. An error begins with the key.
func (c *Config) UnmarshalJSON(data []byte) error {
	written := new(Written)
	if err := c.unmarshal("", data, written); err != nil {
		return err
	}
	if c.written = nil; len(written.former) > 0 {
		c.written = written
	}
	return nil
}

func (c *Config) unmarshal(group string, data []byte, written *Written) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return fmt.Errorf("%s: want an object", strings.TrimSuffix(group, "."))
	}
	if group == "spawn." && members != nil && c.Spawn == nil {
		c.Spawn = new(Spawn)
	}
	if group == "authorizer." && members != nil && len(members) == 0 && c.Authorizer == nil {
		c.Authorizer = new(Authorizer) // without an address, which is an error
	}
	if group == "hold." && members != nil && len(members) == 0 && c.Hold == nil {
		c.Hold = new(Hold) // without a key, which is an error
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		key, value := group+name, members[name]
		_, isGroup := Group(key)
		s := Lookup(key)
		var err error
		switch {
		case isGroup:
			err = c.unmarshal(key+".", value, written)
		case s == nil:
			err = fmt.Errorf("%s: %w", key, Unknown("key", name, strings.TrimSuffix(group, "."), nil))
		default:
			if err = cmp.Or(written.Add(s, key), s.unmarshal(c, value)); err != nil {
				err = fmt.Errorf("%s: %w", key, err)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Setting) unmarshal(c *Config, data []byte) error {
	var text string
	if s.Bytes && bytes.HasPrefix(data, []byte(`"`)) && json.Unmarshal(data, &text) == nil {
		return s.Set(c, text)
	}
	err := json.Unmarshal(data, s.value(c, true).Addr().Interface())
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("is a %s, want %s", wrong.Value, s.jsonKind())
	}
	return err
}

// jsonKind names the JSON type of s.
func (s *Setting) jsonKind() string {
	switch typ := s.typ; {
	case s.IsList():
		return "a list of strings"
	case s.IsMap():
		return "an object of strings"
	case typ.Kind() == reflect.String || reflect.PointerTo(typ).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) || typ == reflect.TypeFor[*Umask]():
		return "a string"
	case typ.Kind() == reflect.Float64:
		return "a number"
	}
	return "a whole number"
}
