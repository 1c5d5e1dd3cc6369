package caddyplugin

import (
	"encoding"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/sluice-proxy/sluice/bridge"
)

// parser reads a block of options into a bridge.Config, and remembers where it read
// what, because some values turn out wrong only beside others.
type parser struct {
	*caddyfile.Dispenser
	directive caddyfile.Token
	at        map[string]caddyfile.Token // by key of bridge.Config: "queue.size"
}

func newParser(d *caddyfile.Dispenser) *parser {
	return &parser{Dispenser: d, directive: d.Token(), at: make(map[string]caddyfile.Token)}
}

// setter reads an option's arguments.
type setter func(p *parser) error

// block reads options until the end of the block that begins here, if one does. prefix
// is what their keys begin with.
func (p *parser) block(prefix string, options map[string]setter) error {
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		name := p.Val()
		set, ok := options[name]
		if !ok {
			return p.Errf("unrecognized option '%s', want one of: %s", name, strings.Join(sortedKeys(options), ", "))
		}
		token := p.Token()
		if err := set(p); err != nil {
			return err
		}
		if _, seen := p.at[prefix+name]; !seen {
			p.at[prefix+name] = token
		}
	}
	return nil
}

func sortedKeys(options map[string]setter) []string {
	var names []string
	for name := range options {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// locate adds to err, which begins with a key, the line that has set it, or the
// directive's.
func (p *parser) locate(err error) error {
	if err == nil {
		return nil
	}
	text := strings.TrimPrefix(err.Error(), "cgi: ")
	key, _, _ := strings.Cut(text, ":")
	key, _, _ = strings.Cut(key, " ") // cgi: mount "x": ...
	token, ok := p.at[key]
	if !ok {
		token = p.directive
	}
	at := caddyfile.NewDispenser([]caddyfile.Token{token})
	at.Next()
	return at.WrapErr(errors.New(text))
}

// argument reads the one argument of an option.
func (p *parser) argument() (string, error) {
	option := p.Val()
	args := p.RemainingArgs()
	if len(args) != 1 {
		return "", p.Errf("%s: want one value, have %d", option, len(args))
	}
	return args[0], nil
}

// once reads the one argument of an option that may be given once. unset reports that it
// was not given before.
func once[T comparable](to *T, read func(text string) (T, error)) setter {
	given := false
	return func(p *parser) error {
		option := p.Val()
		if given {
			return p.Errf("%s: is given twice", option)
		}
		given = true
		text, err := p.argument()
		if err != nil {
			return err
		}
		value, err := read(text)
		if err != nil {
			return p.Errf("%s: %w", option, err)
		}
		*to = value
		return nil
	}
}

func text[T ~string](to *T) setter {
	return once(to, func(s string) (T, error) { return T(s), nil })
}

func number(to *int) setter { return once(to, wholeNumber) }

// positive is for a number whose zero is the default, and means nothing when it is written.
func positive(to *int) setter {
	return once(to, func(s string) (int, error) {
		n, err := wholeNumber(s)
		if err == nil && n < 1 {
			err = fmt.Errorf("is %d, want at least 1", n)
		}
		return n, err
	})
}

func wholeNumber(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	return n, nil
}

func count(to *uint64) setter {
	return once(to, func(s string) (uint64, error) {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || n == 0 {
			return 0, fmt.Errorf("%q is not a number above 0", s)
		}
		return n, nil
	})
}

// pointer is for a value that need not be given, and may be 0.
func pointer[T any](to **T, read func(*T) setter) setter {
	value := new(T)
	set := read(value)
	return func(p *parser) error {
		*to = value
		return set(p)
	}
}

// encoded reads a value that has a text form of its own.
func encoded[T comparable, P interface {
	*T
	encoding.TextUnmarshaler
}](to *T,
) setter {
	return once(to, func(s string) (value T, err error) {
		err = P(&value).UnmarshalText([]byte(s))
		return value, err
	})
}

func decimal(to *float64) setter {
	return once(to, func(s string) (float64, error) {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number", s)
		}
		return x, nonzero(x)
	})
}

var errNotZero = errors.New("must be more than 0")

// nonzero refuses a zero where that is the default, and means nothing when it is written.
func nonzero[T int | int64 | uint64 | float64](n T) error {
	if n == 0 {
		return errNotZero
	}
	return nil
}

func size[T ~int | ~int64 | ~uint64](to *T) setter {
	return once(to, func(s string) (T, error) {
		n, err := parseSize[T](s)
		if err == nil {
			err = nonzero(uint64(n))
		}
		return n, err
	})
}

// sizeOrNone may be 0.
func sizeOrNone[T ~int | ~int64 | ~uint64](to *T) setter { return once(to, parseSize[T]) }

func parseSize[T ~int | ~int64 | ~uint64](s string) (T, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || int64(n) < 0 || uint64(T(n)) != n {
		return 0, fmt.Errorf("%q is not a size (write 64KiB, 20MiB, 1GiB)", s)
	}
	return T(n), nil
}

func duration(to *bridge.Duration) setter {
	return once(to, func(s string) (bridge.Duration, error) {
		d, err := parseDuration(s)
		if err == nil {
			err = nonzero(int64(d))
		}
		return d, err
	})
}

// durationOrNone may be 0.
func durationOrNone(to *bridge.Duration) setter { return once(to, parseDuration) }

func parseDuration(s string) (bridge.Duration, error) {
	d, err := caddy.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration (write 500ms, 3s, 2m)", s)
	}
	return bridge.Duration(d), nil
}

// list reads one argument or more. Given again, it appends.
func list(to *[]string) setter {
	return func(p *parser) error {
		option := p.Val()
		args := p.RemainingArgs()
		if len(args) == 0 {
			return p.Errf("%s: want a value", option)
		}
		*to = append(*to, args...)
		return nil
	}
}

// pairs reads a name and a value. Given again, it adds.
func pairs(to *map[string]string) setter {
	return func(p *parser) error {
		option := p.Val()
		args := p.RemainingArgs()
		if len(args) != 2 {
			return p.Errf("%s: want a name and a value, have %d words", option, len(args))
		}
		if _, twice := (*to)[args[0]]; twice {
			return p.Errf("%s: %s is given twice", option, args[0])
		}
		if *to == nil {
			*to = make(map[string]string)
		}
		(*to)[args[0]] = args[1]
		return nil
	}
}

// words reads the arguments as one text: flow's "key cookie sid".
func words(to *string) setter {
	return func(p *parser) error {
		option := p.Val()
		args := p.RemainingArgs()
		if len(args) == 0 {
			return p.Errf("%s: want a value", option)
		}
		if *to != "" {
			return p.Errf("%s: is given twice", option)
		}
		*to = strings.Join(args, " ")
		return nil
	}
}

// rate reads "3 per 10m".
func rate(most *int, per *bridge.Duration) setter {
	return func(p *parser) error {
		option := p.Val()
		args := p.RemainingArgs()
		if len(args) == 3 && args[1] == "per" {
			n, errNumber := strconv.Atoi(args[0])
			d, errTime := caddy.ParseDuration(args[2])
			if errNumber == nil && errTime == nil && n > 0 && d >= time.Second {
				*most, *per = n, bridge.Duration(d)
				return nil
			}
		}
		return p.Errf("%s: want a number and a time, such as: 3 per 10m", option)
	}
}

// section reads a block of options of its own.
func section(prefix string, options map[string]setter) setter {
	return func(p *parser) error {
		option := p.Val()
		if p.NextArg() {
			return p.Errf("%s: unexpected '%s', want a block in braces", option, p.Val())
		}
		return p.block(prefix, options)
	}
}
