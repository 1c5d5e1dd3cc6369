package caddyplugin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// resolve replaces placeholders such as {env.APP_SOCKET} in all texts of cfg. One that is
// not known is an error that begins with the key, but in free texts, and in a root that
// depends on the request.
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
		if isFree(s) {
			with = func(text string) (string, error) { return repl.ReplaceKnown(text, ""), nil }
		}
		if err := s.Replace(cfg, with); err != nil {
			return fmt.Errorf("%s: %w", s.Key, err)
		}
	}
	cfg.Root = root
	return nil
}

// isFree reports whether the value of s may contain braces that are no placeholder, or a
// placeholder of the request: CGI variables, an answer's body, a command and its environment.
func isFree(s *config.Setting) bool {
	return slices.Contains([]string{"env", "queue.poll_answer.body", "spawn.command", "spawn.env"}, s.Key)
}

// errPlaceholder stops hasPlaceholder at the first one.
var errPlaceholder = errors.New("a placeholder")

// hasPlaceholder reports whether there is something to resolve in cfg.
func hasPlaceholder(cfg config.Config) bool {
	for _, s := range config.Settings {
		err := s.Replace(&cfg, func(text string) (string, error) {
			if strings.Contains(text, "{") {
				return text, errPlaceholder
			}
			return text, nil
		})
		if err != nil && s.Key != "queue.poll_answer.body" && !s.IsMap() { // which may be JSON, or is of requests
			return true
		}
	}
	return false
}
