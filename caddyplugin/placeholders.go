package caddyplugin

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge"
)

// resolve replaces placeholders such as {env.APP_SOCKET} in all texts of cfg. One that is
// not known is an error, but in texts that may hold braces of their own, or a placeholder
// that is known when there is a request.
func resolve(cfg *bridge.Config) error {
	repl := caddy.NewReplacer()
	root, err := resolveRoot(cfg.Root, repl)
	if err != nil {
		return err
	}
	cfg.Root = ""
	free := freeTexts{cfg.Env, cfg.Queue.PollAnswer.Body, nil, nil}
	cfg.Env, cfg.Queue.PollAnswer.Body = nil, ""
	if s := cfg.Spawn; s != nil {
		free.command, free.environ = s.Command, s.Env
		s.Command, s.Env = nil, nil
	}
	err = resolveTexts(reflect.ValueOf(cfg).Elem(), repl)
	free.resolve(repl)
	cfg.Root = root
	cfg.Env, cfg.Queue.PollAnswer.Body = free.env, free.body
	if s := cfg.Spawn; s != nil {
		s.Command, s.Env = free.command, free.environ
	}
	return err
}

// freeTexts are what is not resolved with the others: of CGI variables, an answer's body,
// a command and its environment.
type freeTexts struct {
	env     map[string]string
	body    string
	command []string
	environ map[string]string
}

func (t *freeTexts) resolve(repl *caddy.Replacer) {
	t.body = repl.ReplaceKnown(t.body, "")
	for i, word := range t.command {
		t.command[i] = repl.ReplaceKnown(word, "")
	}
	for _, vars := range []map[string]string{t.env, t.environ} {
		for name, value := range vars {
			vars[name] = repl.ReplaceKnown(value, "")
		}
	}
}

func resolveTexts(v reflect.Value, repl *caddy.Replacer) error {
	switch v.Kind() {
	case reflect.String:
		text, err := repl.ReplaceOrErr(v.String(), true, true)
		if err != nil {
			return fmt.Errorf("%q: %w", v.String(), err)
		}
		v.SetString(text)
	case reflect.Pointer:
		if !v.IsNil() {
			return resolveTexts(v.Elem(), repl)
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := resolveTexts(v.Index(i), repl); err != nil {
				return err
			}
		}
	case reflect.Map:
		return resolveMap(v, repl)
	case reflect.Struct:
		return resolveFields(v, repl)
	}
	return nil
}

func resolveMap(v reflect.Value, repl *caddy.Replacer) error {
	for _, key := range v.MapKeys() {
		value := reflect.New(v.Type().Elem()).Elem()
		value.Set(v.MapIndex(key))
		if err := resolveTexts(value, repl); err != nil {
			return fmt.Errorf("%v: %w", key, err)
		}
		v.SetMapIndex(key, value)
	}
	return nil
}

// resolveFields resolves what is configuration. An error names the key.
func resolveFields(v reflect.Value, repl *caddy.Replacer) error {
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if key == "" || key == "-" {
			continue
		}
		if err := resolveTexts(v.Field(i), repl); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// hasPlaceholder reports whether there is something to resolve in cfg.
func hasPlaceholder(cfg bridge.Config) bool {
	cfg.Queue.PollAnswer.Body = "" // which may be JSON
	return holdsBrace(reflect.ValueOf(cfg))
}

func holdsBrace(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return strings.Contains(v.String(), "{")
	case reflect.Slice:
		for i := range v.Len() {
			if holdsBrace(v.Index(i)) {
				return true
			}
		}
	case reflect.Pointer:
		return !v.IsNil() && holdsBrace(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && holdsBrace(v.Field(i)) {
				return true
			}
		}
	}
	return false
}
