package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Differs returns an error that names the first setting in which two complete applications
// differ, and both values.
func (a *Application) Differs(from *Application) error {
	one, two := Config{Application: *a}, Config{Application: *from}
	switch {
	case !slices.Equal(a.Addresses(), from.Addresses()):
		return errors.New("backends: differs")
	case (a.Spawn != nil) != (from.Spawn != nil):
		return fmt.Errorf("spawn: is %t and %t", a.Spawn != nil, from.Spawn != nil)
	case (a.Authorizer != nil) != (from.Authorizer != nil):
		return fmt.Errorf("authorizer: is %t and %t", a.Authorizer != nil, from.Authorizer != nil)
	case (a.Hold != nil) != (from.Hold != nil):
		return fmt.Errorf("hold: is %t and %t", a.Hold != nil, from.Hold != nil)
	}
	for _, s := range Settings {
		v, w := s.value(&one, false), s.value(&two, false)
		switch {
		case s.OfSite || s.Key == "backends" || !v.IsValid() || reflect.DeepEqual(v.Interface(), w.Interface()):
		case s.IsList() || s.IsMap(): // lists may be long, and an environment may be secret
			return fmt.Errorf("%s: differs", s.Key)
		default:
			return fmt.Errorf("%s: is %s and %s", s.Key, s.text(v), s.text(w))
		}
	}
	return nil
}

// equal reports whether s has the same value in both.
func (s *Setting) equal(one, two Holder) bool {
	v, w := s.value(one, false), s.value(two, false)
	if !v.IsValid() || !w.IsValid() {
		return v.IsValid() == w.IsValid()
	}
	return reflect.DeepEqual(v.Interface(), w.Interface())
}

// NeedsBackend returns the key of the first setting that differs from now and cannot be changed
// without new connections and a new gate, or "". Both applications are complete.
func (a *Application) NeedsBackend(now *Application) (key string) {
	if (a.Spawn != nil) != (now.Spawn != nil) {
		return "spawn"
	}
	if (a.Authorizer != nil) != (now.Authorizer != nil) {
		return "authorizer"
	}
	if (a.Hold != nil) != (now.Hold != nil) {
		return "hold"
	}
	one, two := Config{Application: *a}, Config{Application: *now}
	for _, s := range Settings {
		v, w := s.value(&one, false), s.value(&two, false)
		if s.Change == Backend && v.IsValid() && !reflect.DeepEqual(v.Interface(), w.Interface()) {
			return s.Key
		}
	}
	return ""
}

// Identity is equal for two configurations of the same application: the same set of addresses,
// or the same command with the same environment, user and limits.
func (a *Application) Identity() string {
	c := Config{Application: Application{Backends: a.Addresses()}}
	if a.Spawn != nil {
		c.Spawn = new(*a.Spawn)
	}
	for _, s := range Settings {
		// The default of Socket depends on the rest: written or not, it is the same application.
		if strings.HasPrefix(s.Key, "spawn.") && (s.Change == InPlace || s.Key == "spawn.socket") && c.Spawn != nil {
			s.value(&c, true).SetZero()
		}
	}
	text, err := c.MarshalJSON()
	if err != nil {
		panic(err) // texts and numbers
	}
	return string(text)
}
