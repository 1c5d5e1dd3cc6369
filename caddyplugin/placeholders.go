package caddyplugin

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge"
)

// resolve replaces placeholders such as {env.APP_SOCKET} in all texts of cfg. One that is
// not known is an error, but in Env and in the body of an answer: there it may be known
// when there is a request, or be no placeholder.
func resolve(cfg *bridge.Config) error {
	repl := caddy.NewReplacer()
	for name, value := range cfg.Env {
		cfg.Env[name] = repl.ReplaceKnown(value, "")
	}
	env, body := cfg.Env, repl.ReplaceKnown(cfg.Queue.PollAnswer.Body, "")
	cfg.Env, cfg.Queue.PollAnswer.Body = nil, ""
	err := resolveTexts(reflect.ValueOf(cfg).Elem(), repl)
	cfg.Env, cfg.Queue.PollAnswer.Body = env, body
	return err
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
