package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// Set parses words and sets s in c. Most settings take one word; a map takes a name and a
// value. Lists and maps are added to, other values are replaced.
func (s *Setting) Set(c Holder, words ...string) error {
	switch {
	case s.IsMap():
		return s.setMap(c, words)
	case len(words) == 0 && (s.IsList() || s.phrase):
		return errors.New("want a value")
	case s.IsList():
		list := s.value(c, true).Addr().Interface().(*[]string)
		*list = append(*list, words...)
		return nil
	case s.per != "":
		return s.setRate(c, words)
	case len(s.Words) > 0 && len(words) == 1 && words[0] == "":
		return s.wrongWord("")
	case s.Default != "" && s.kind() == reflect.String && len(words) == 1 && words[0] == "":
		return fmt.Errorf("is empty, which would be the default, %s", s.Default)
	case !s.phrase && len(words) != 1:
		return fmt.Errorf("want one value, have %d", len(words))
	}
	v := reflect.New(s.typ).Elem()
	if err := s.parse(v, strings.Join(words, " ")); err != nil {
		return err
	}
	s.value(c, true).Set(v)
	return nil
}

func (s *Setting) setMap(c Holder, words []string) error {
	if len(words) != 2 {
		return fmt.Errorf("want a name and a value, have %d words", len(words))
	}
	vars := s.value(c, true).Addr().Interface().(*map[string]string)
	if _, twice := (*vars)[words[0]]; twice {
		return fmt.Errorf("%s is given twice", words[0])
	}
	if *vars == nil {
		*vars = make(map[string]string)
	}
	(*vars)[words[0]] = words[1]
	return nil
}

// setRate parses "3 per 10m".
func (s *Setting) setRate(c Holder, words []string) error {
	number, time, ok := strings.Cut(strings.Join(words, " "), " per ")
	if !ok {
		return errors.New(`want a number and a time, such as "3 per 10m"`)
	}
	n, per := reflect.New(s.typ).Elem(), s.schema.Lookup(s.per)
	if err := s.parse(n, strings.TrimSpace(number)); err != nil {
		return err
	}
	if err := per.Set(c, strings.TrimSpace(time)); err != nil {
		return err
	}
	s.value(c, true).Set(n)
	return nil
}

// parse parses one value into v.
func (s *Setting) parse(v reflect.Value, text string) error {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return s.parseValue(v.Elem(), text)
	}
	if err := s.parseValue(v, text); err != nil {
		return err
	}
	return s.tooSmall(v)
}

// tooSmall returns an error for a written 0 that would select the default.
func (s *Setting) tooSmall(v reflect.Value) error {
	number := v.CanInt() || v.CanUint() || v.CanFloat()
	switch {
	case !number || s.Zero != "" || !v.IsZero() && !isNegative(v):
		return nil
	case s.most != "":
		return s.outside(v)
	case v.Kind() == reflect.Int && !s.Bytes:
		return fmt.Errorf("is %d, want at least 1", v.Int())
	case v.IsZero():
		return errors.New("must be more than 0")
	}
	return nil // Complete refuses negative values
}

func isNegative(v reflect.Value) bool {
	return v.CanInt() && v.Int() < 0 || v.CanFloat() && v.Float() < 0
}

func (s *Setting) parseValue(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch {
	case s.Bytes:
		return parseSize(v, text)
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.CanInt():
		n, err := strconv.Atoi(text)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return fmt.Errorf("%q is too large", text)
		case err != nil:
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(int64(n))
	case v.CanUint():
		n, err := strconv.ParseUint(text, 10, 64)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return fmt.Errorf("%q is too large", text)
		case err != nil || n == 0:
			return fmt.Errorf("%q is not a number above 0", text)
		}
		v.SetUint(n)
	case v.CanFloat():
		x, err := strconv.ParseFloat(text, 64)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return fmt.Errorf("%q is too large", text)
		case err != nil:
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(x)
	default:
		panic("config: " + s.Key + " has no text form")
	}
	return nil
}

func parseSize(v reflect.Value, text string) error {
	n, err := humanize.ParseBytes(text)
	signed := v.CanInt()
	if err != nil || int64(n) < 0 || signed && v.OverflowInt(int64(n)) || !signed && v.OverflowUint(n) {
		return fmt.Errorf("%q is not a size (write 64KiB, 20MiB, 1GiB)", text)
	}
	if signed {
		v.SetInt(int64(n))
	} else {
		v.SetUint(n)
	}
	return nil
}

// size formats a number of bytes.
func size(n uint64) string {
	text := strings.Replace(strings.ReplaceAll(humanize.IBytes(n), " ", ""), ".0", "", 1)
	if back, err := humanize.ParseBytes(text); err != nil || back != n {
		return strconv.FormatUint(n, 10) // IBytes has rounded
	}
	return text
}

// text formats a value of s.
func (s *Setting) text(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "not set"
		}
		v = v.Elem()
	}
	if s.Bytes && v.CanInt() {
		return size(uint64(v.Int()))
	}
	if s.Bytes {
		return size(v.Uint())
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	return fmt.Sprint(v.Interface())
}

// Replace replaces each text of s in c, list elements and map values included, by with(text).
func (s *Setting) Replace(c Holder, with func(text string) (string, error)) error {
	v := s.value(c, false)
	switch {
	case !v.IsValid():
	case v.Kind() == reflect.String:
		text, err := with(v.String())
		v.SetString(text)
		return err
	case s.IsList():
		list := slices.Clone(v.Interface().([]string))
		v.Set(reflect.ValueOf(list))
		for i := range list {
			text, err := with(list[i])
			if err != nil {
				return err
			}
			list[i] = text
		}
	case s.IsMap():
		vars := v.Interface().(map[string]string)
		for name, value := range vars {
			text, err := with(value)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			vars[name] = text
		}
	}
	return nil
}
