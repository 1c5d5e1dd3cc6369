package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Assign sets s in c to a value as formats with types have it: a string, an int64, a float64, a
// bool, a []any or a map[string]any. Numbers with a unit, such as times, are strings; sizes may be
// numbers of bytes as well. A list of one text may be that text, unless it could be meant as several.
func (s *Setting) Assign(c Holder, value any) error {
	switch v := value.(type) {
	case string:
		if s.takesText() || s.IsList() && isOne(v) {
			return s.Set(c, v)
		}
	case int64:
		switch {
		case s.per != "":
			return s.assignNumber(c, strconv.FormatInt(v, 10))
		case s.takesNumber():
			return s.Set(c, strconv.FormatInt(v, 10))
		}
	case float64:
		if s.kind() == reflect.Float64 {
			return s.Set(c, strconv.FormatFloat(v, 'g', -1, 64))
		}
	case []any:
		if words, ok := texts(v); ok && s.IsList() {
			return s.Set(c, words...)
		}
	case map[string]any:
		if s.IsMap() {
			return s.assignMap(c, v)
		}
	}
	return fmt.Errorf("is %s, want %s", describe(value), s.example())
}

// assignNumber sets the number of "3 per 10m" alone.
func (s *Setting) assignNumber(c Holder, text string) error {
	v := reflect.New(s.typ).Elem()
	if err := s.parse(v, text); err != nil {
		return err
	}
	s.value(c, true).Set(v)
	return nil
}

func (s *Setting) assignMap(c Holder, values map[string]any) error {
	for name, value := range values {
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("%s is %s, want a string", name, describe(value))
		}
		if err := s.Set(c, name, text); err != nil {
			return err
		}
	}
	return nil
}

// kind is that of the value, without a pointer.
func (s *Setting) kind() reflect.Kind { return s.plain().Kind() }

func (s *Setting) plain() reflect.Type {
	if s.typ.Kind() == reflect.Pointer {
		return s.typ.Elem()
	}
	return s.typ
}

// isText reports whether the value is written as a text whatever it is.
func (s *Setting) isText() bool {
	return s.kind() == reflect.String || reflect.PointerTo(s.plain()).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func (s *Setting) takesText() bool { return s.isText() || s.Bytes || s.per != "" }

func (s *Setting) takesNumber() bool {
	return s.Bytes || !s.isText() && !s.IsList() && !s.IsMap()
}

// severalSigns are what people write between several texts in one.
const severalSigns = " ,"

// isOne reports whether a text cannot be meant as several.
func isOne(text string) bool { return text != "" && !strings.ContainsAny(text, severalSigns) }

func texts(list []any) (words []string, ok bool) {
	words = []string{}
	for _, v := range list {
		text, ok := v.(string)
		if !ok {
			return nil, false
		}
		words = append(words, text)
	}
	return words, true
}

// describe says what a value is, for errors.
func describe(value any) string {
	switch v := value.(type) {
	case string:
		return fmt.Sprintf("the string %q", v)
	case int64, float64:
		return fmt.Sprintf("the number %v", v)
	case bool:
		return fmt.Sprintf("%t", v)
	case []any:
		if _, ok := texts(v); ok {
			return "a list"
		}
		return "a list of other things than strings"
	case map[string]any:
		return "a table"
	}
	return "a date or a time"
}

// example says what is wanted, with an example where the notation is not obvious.
func (s *Setting) example() string {
	switch {
	case s.IsList():
		return `a list of strings, such as ["` + strings.ToLower(s.Kind()) + `"]`
	case s.IsMap():
		return `a table of strings, such as { NAME = "value" }`
	case len(s.Words) > 0:
		quoted := make([]string, len(s.Words))
		for i, word := range s.Words {
			quoted[i] = strconv.Quote(word)
		}
		return oneOf(quoted)
	case s.Bytes:
		return `a size, such as "20MiB"`
	case s.plain() == reflect.TypeFor[Duration]():
		return `a time in quotes, such as "3s"`
	case s.plain() == reflect.TypeFor[Umask](), s.plain() == reflect.TypeFor[FileMode]():
		return `a mode in quotes, such as "027"`
	case s.isText():
		return "a string in quotes"
	case s.kind() == reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// Exists reports whether c has s: it has no settings of a command or an authorizer that there is
// not.
func (s *Setting) Exists(c Holder) bool { return s.value(c, false).IsValid() }

// Get returns the value of s in c as Assign takes it. ok is false if it is zero, the default.
func (s *Setting) Get(c Holder) (value any, ok bool) {
	v := s.value(c, false)
	if !v.IsValid() || v.IsZero() || (s.IsList() || s.IsMap()) && v.Len() == 0 {
		return nil, false
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case s.IsList():
		return slices.Clone(v.Interface().([]string)), true
	case s.IsMap():
		return v.Interface(), true
	case s.Bytes || s.isText():
		return s.text(v), true
	case v.CanFloat():
		return v.Float(), true
	case v.CanUint():
		return int64(v.Uint()), true
	}
	return v.Int(), true
}

// Unset sets s in c to zero, the default. undo sets it back.
func (s *Setting) Unset(c Holder) (undo func()) {
	v := s.value(c, false)
	if !v.IsValid() {
		return func() {}
	}
	was := reflect.New(v.Type()).Elem()
	was.Set(v)
	v.SetZero()
	return func() { v.Set(was) }
}

// Types returns the JSON types of what Assign takes.
func (s *Setting) Types() []string {
	switch {
	case s.IsList():
		return []string{"array", "string"}
	case s.IsMap():
		return []string{"object"}
	case s.kind() == reflect.Float64:
		return []string{"number"}
	case s.takesNumber() && s.takesText():
		return []string{"string", "integer"}
	case s.takesNumber():
		return []string{"integer"}
	}
	return []string{"string"}
}
