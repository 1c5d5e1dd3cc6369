package main

import (
	"errors"
	"regexp"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// authFlags are the flags for the keys of package basicauth.
var authFlags = map[string]string{"file": "--auth-file", "path": "--auth-path", "realm": "--auth-realm"}

var (
	// keyed is an error that begins with a key, or two, and perhaps a value.
	keyed = regexp.MustCompile(`^(?:cgi: |auth: )?([a-z_]+(?: or [a-z]+|(?:\.[a-z_]+)+)?)( "(?:[^"\\]|\\.)*"| [A-Za-z0-9_]+)?: `)
	// further matches words that may be keys, those with an underscore or a dot, and quoted
	// texts, so that these are skipped.
	further = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\b[a-z]+(?:[._][a-z]+)+\b`)
)

// flagError names the flags in an error that begins with a key, as the user has written them.
func (o *options) flagError(err error) error { return o.written.In(flagError(err)) }

// flagError names the flags in an error that begins with a key.
func flagError(err error) error {
	text := err.Error()
	m := keyed.FindStringSubmatch(text)
	if m == nil {
		return err
	}
	key, value, rest := m[1], m[2], further.ReplaceAllStringFunc(text[len(m[0]):], flagOfKey)
	if key == "spawn" { // the command itself is what is wrong
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

// flagOfKey returns the flag for a key, or key if there is none.
func flagOfKey(key string) string {
	if flag, ok := authFlags[key]; ok {
		return flag
	}
	if s := config.Lookup(key); s != nil {
		return flagOf(s)
	}
	return key
}
