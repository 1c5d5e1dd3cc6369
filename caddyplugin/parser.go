package caddyplugin

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// parser parses a block of options into a configuration. It keeps the token of each option, to refuse
// options that are given twice, and to locate errors that are found after parsing.
type parser struct {
	*caddyfile.Dispenser
	to        *config.Config
	written   config.Written
	without   []string // keys that are not options here
	directive caddyfile.Token
	at        map[string]caddyfile.Token // by key: "queue.size"
}

func newParser(d *caddyfile.Dispenser, to *config.Config) *parser {
	return &parser{Dispenser: d, to: to, directive: d.Token(), at: make(map[string]caddyfile.Token)}
}

// block parses the block that begins here, if there is one. group is the group of its keys, or "".
func (p *parser) block(group string) error {
	before, _ := config.Group(group)
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		key := p.Val()
		if group != "" {
			key = group + "." + key
		}
		arguments, isGroup := config.Group(key)
		s := config.Lookup(key)
		var err error
		switch {
		case slices.Contains(p.without, key) || s == nil && !isGroup:
			return p.WrapErr(config.Unknown("option", p.Val(), group, p.without))
		case slices.Contains(before, s):
			return p.Errf("%s: belongs on the line of %s, not into its block", p.Val(), group)
		case isGroup:
			err = p.group(key, arguments)
		default:
			if err = p.written.Add(s, key); err != nil {
				return p.Errf("%s: %w", key, err)
			}
			err = p.set(s, p.Val(), p.RemainingArgs())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// group parses the arguments of a group and its block.
func (p *parser) group(key string, arguments []*config.Setting) error {
	option, token := p.Val(), p.Token()
	values := p.RemainingArgs()
	switch _, twice := p.at[key]; {
	case arguments == nil && len(values) > 0:
		return p.Errf("%s: unexpected '%s', want a block in braces", option, values[0])
	case arguments == nil:
		return p.block(key)
	case twice:
		return p.Errf("%s: is given twice", option)
	}
	p.at[key] = token
	for _, s := range arguments {
		p.at[s.Key] = token
	}
	if command := arguments[0]; command.IsList() {
		p.to.Spawn = new(config.Spawn)
		if err := command.Set(p.to, values...); err != nil && len(values) > 0 {
			return p.Errf("%s: %w", option, err)
		}
		return p.block(key)
	}
	if len(arguments) == 1 && len(values) != 1 {
		return p.Errf("%s: want 1 value, have %d", option, len(values))
	}
	if len(values) == 0 || len(values) > len(arguments) {
		return p.Errf("%s: want 1 to %d values, have %d", option, len(arguments), len(values))
	}
	for i, value := range values {
		if err := arguments[i].Set(p.to, value); err != nil {
			return p.Errf("%s: %w", option, err)
		}
	}
	return p.block(key)
}

func (p *parser) set(s *config.Setting, option string, words []string) error {
	for _, s := range s.Sets() {
		if _, seen := p.at[s.Key]; !seen {
			p.at[s.Key] = p.Token()
		} else if !s.IsList() && !s.IsMap() {
			return p.Errf("%s: is given twice", option)
		}
	}
	if err := s.Set(p.to, words...); err != nil {
		return p.Errf("%s: %w", option, err)
	}
	return nil
}

// locate adds the line of an option to err, which begins with its key; without such an option, the line
// of the directive.
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
	return at.WrapErr(p.written.In(errors.New(text)))
}
