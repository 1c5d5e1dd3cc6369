package caddyplugin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// resolve replaces placeholders such as {env.APP_SOCKET} in all texts of cfg. An unknown placeholder is an
// error that begins with the key, except in free texts and in a root that depends on the request.
func resolve(cfg *config.Config) error {
	repl := caddy.NewReplacer()
	root, err := resolveRoot(cfg.Root, repl)
	if err != nil {
		return err
	}
	cfg.Root = ""
	for _, s := range config.Settings {
		with := func(text string) (string, error) {
			value, err := repl.ReplaceOrErr(text, true, true)
			if err != nil {
				return text, fmt.Errorf("%q: %w", text, err)
			}
			return value, nil
		}
		if isFreeText(s) {
			with = func(text string) (string, error) { return repl.ReplaceKnown(portOf(s, text), ""), nil }
		}
		if err := s.Replace(cfg, with); err != nil {
			return fmt.Errorf("%s: %w", s.Key, err)
		}
	}
	cfg.Root = root
	return nil
}

// isFreeText reports whether the value of s may contain other braces than placeholders, or placeholders
// of the request: CGI variables, an answer's body, a command and its environment.
func isFreeText(s *config.Setting) bool {
	return slices.Contains([]string{"env", "queue.poll_answer.body", "spawn.command", "spawn.env"}, s.Key)
}

// portOf undoes what the Caddyfile makes of {port}, which in a command stands for the port that Sluice
// chooses: Caddy takes it for the short form of a placeholder of the request.
func portOf(s *config.Setting, text string) string {
	if s.Key == "spawn.command" || s.Key == "spawn.env" {
		return strings.ReplaceAll(text, "{http.request.port}", "{port}")
	}
	return text
}

// errPlaceholder stops hasPlaceholder at the first one.
var errPlaceholder = errors.New("a placeholder")

// hasPlaceholder reports whether cfg has a placeholder to replace.
func hasPlaceholder(cfg config.Config) bool {
	for _, s := range config.Settings {
		err := s.Replace(&cfg, func(text string) (string, error) {
			if strings.Contains(text, "{") {
				return text, errPlaceholder
			}
			return text, nil
		})
		if err != nil && s.Key != "queue.poll_answer.body" && !s.IsMap() { // the body may be JSON, and maps have placeholders of the request
			return true
		}
	}
	return false
}
