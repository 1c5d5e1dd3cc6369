package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// Complete fills in declared defaults and checks the values. It does not access the system. It
// copies Spawn, Authorizer and Hold before it changes them. An error begins with the key.
func (a *Application) Complete() error {
	c := Config{Application: *a}
	if a.Spawn != nil {
		c.Spawn = new(*a.Spawn)
	}
	if a.Authorizer != nil {
		c.Application.Authorizer = new(*a.Authorizer)
	}
	if a.Hold != nil {
		c.Application.Hold = new(*a.Hold)
	}
	if err := complete(&c, func(s *Setting) bool { return !s.OfSite }); err != nil {
		return err
	}
	if err := c.Application.check(); err != nil {
		return err
	}
	*a = c.Application
	return nil
}

// Complete fills in declared defaults and checks the values. An error begins with the key.
func (s *Site) Complete() error {
	c := Config{Site: *s}
	if err := complete(&c, func(s *Setting) bool { return s.OfSite }); err != nil {
		return err
	}
	*s = c.Site
	return s.check()
}

// complete completes those settings of c that has reports.
func complete(c Holder, has func(*Setting) bool) error {
	for _, s := range c.Schema().Settings {
		if v := s.value(c, false); has(s) && v.IsValid() {
			if err := s.complete(v); err != nil {
				return fmt.Errorf("%s: %w", s.Key, err)
			}
		}
	}
	return nil
}

// complete sets the default if v is zero, and checks v otherwise.
func (s *Setting) complete(v reflect.Value) error {
	switch {
	case v.IsZero() && s.Default != "":
		return s.parse(v, s.Default)
	case v.IsZero():
		return nil
	case v.Type() == reflect.TypeFor[*Duration]() && isNegative(v.Elem()):
		return errors.New("must not be negative")
	case len(s.Words) > 0 && !slices.Contains(s.Words, v.String()):
		return s.wrongWord(v.String())
	case v.Type() == reflect.TypeFor[Duration]() && isNegative(v):
		return errors.New("must not be negative")
	case v.CanFloat() && !(v.Float() >= 0 && !math.IsInf(v.Float(), 1)):
		return fmt.Errorf("is %g, must be a number and not negative", v.Float())
	case s.least != "":
		return s.outside(v)
	case isNegative(v):
		return fmt.Errorf("is %d, must not be negative", v.Int())
	}
	return nil
}

func (s *Setting) wrongWord(text string) error {
	return fmt.Errorf("is %q, want %s", text, oneOf(s.Words))
}

// oneOf lists words: "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// outside returns an error if v exceeds its bounds.
func (s *Setting) outside(v reflect.Value) error {
	switch below := s.compare(v, s.least) < 0; {
	case s.most != "" && (below || s.compare(v, s.most) > 0):
		return fmt.Errorf("is %d, want %s to %s", v.Int(), s.least, s.most)
	case below && s.Bytes:
		return fmt.Errorf("is %d bytes, want %s at least", v.Uint(), s.least)
	case below:
		return fmt.Errorf("is %s, want %s at least", s.text(v), s.least)
	}
	return nil
}

func (s *Setting) compare(v reflect.Value, bound string) int {
	b := reflect.New(v.Type()).Elem()
	if err := s.parseValue(b, bound); err != nil {
		panic(err) // the declaration is wrong
	}
	if v.CanUint() {
		return cmp.Compare(v.Uint(), b.Uint())
	}
	return cmp.Compare(v.Int(), b.Int())
}
