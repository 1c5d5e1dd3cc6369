package main

import (
	"errors"
	"regexp"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
)

var (
	// errorKey matches the beginning of an error: one or two keys, and perhaps a value.
	errorKey = regexp.MustCompile(`^(?:cgi: )?([a-z_]+(?: or [a-z]+|(?:\.[a-z_]+)+)?)( "(?:[^"\\]|\\.)*"| [A-Za-z0-9_]+)?: `)
	// otherKeys matches words with an underscore or a dot, which may be keys. It also matches quoted
	// texts, so that words in them are skipped.
	otherKeys = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\b[a-z]+(?:[._][a-z]+)+\b`)
)

// flagError replaces the keys in an error by the flags, as the user has written them.
func (o *options) flagError(err error) error { return o.written.In(flagError(err)) }

// flagError replaces the keys in an error that begins with a key by their flags.
func flagError(err error) error {
	text := err.Error()
	m := errorKey.FindStringSubmatch(text)
	if m == nil {
		return err
	}
	key, value, rest := m[1], m[2], otherKeys.ReplaceAllStringFunc(text[len(m[0]):], flagOfKey)
	if key == "spawn" { // the error is about the command itself
		return errors.New(rest)
	}
	keys := strings.Split(key, " or ")
	for i, key := range keys {
		if keys[i] = flagOfKey(key); keys[i] == key {
			return err
		}
	}
	return errors.New(strings.Join(keys, " or ") + value + ": " + rest)
}

// flagOfKey returns the flag for a key, or the key if it has none.
func flagOfKey(key string) string {
	for _, of := range []config.Holder{new(config.Config), new(config.Server), new(config.FlagSite)} {
		if s := of.Schema().Lookup(key); s != nil {
			return flagOf(s)
		}
	}
	return key
}
