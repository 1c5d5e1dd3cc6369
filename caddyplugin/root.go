package caddyplugin

import (
	"fmt"
	"net/http"
	"path"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// resolveRoot replaces the placeholders of a root that are known without a request. It keeps those of a
// request; others are an error.
func resolveRoot(root string, repl *caddy.Replacer) (string, error) {
	root = repl.ReplaceKnown(root, "")
	for rest := root; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return root, nil
		}
		name, after, closed := strings.Cut(after, "}")
		if !closed || !strings.HasPrefix(name, "http.") {
			return "", fmt.Errorf("root: unrecognized placeholder {%s}", name)
		}
		rest = after
	}
}

// rootOf returns a function that returns the root for a request, nil if root does not depend on the
// request. The value of a placeholder must be a directory's name, because clients choose the host. Only
// if the placeholder is the whole root, {http.vars.root}, may the value be a path.
func rootOf(root string) func(*http.Request) (string, error) {
	if !dependsOnRequest(root) {
		return nil
	}
	whole := strings.HasPrefix(root, "{") && strings.IndexByte(root, '}') == len(root)-1
	return func(r *http.Request) (string, error) {
		repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		if !ok {
			return "", fmt.Errorf("root %q: depends on the request, and this is not a request of a client", root)
		}
		check := directoryName
		if whole {
			check = directoryPath
		}
		dir, err := repl.ReplaceFunc(root, func(name string, value any) (any, error) {
			text := caddy.ToString(value)
			if !check(text) {
				return nil, &cgi.RequestError{Status: http.StatusNotFound, Reason: fmt.Sprintf("root %q: {%s} is %.200q, which is not accepted as a directory", root, name, text)}
			}
			return text, nil
		})
		if err != nil {
			return "", err
		}
		return filepath.Abs(dir)
	}
}

func directoryName(text string) bool {
	return text != "" && text[0] != '.' && !strings.ContainsAny(text, "/\\\x00")
}

func directoryPath(text string) bool {
	return path.Clean(text) == strings.TrimSuffix(text, "/") && text[0] != '.' && !strings.Contains(text, "/.")
}

// validate checks a configuration. fromWebServer is as in bridge.SiteHooks.
func validate(c config.Config, fromWebServer bool) error {
	if err := checkOfCaddy(&c); err != nil {
		return err
	}
	hooks := hooksOf(&c.Site)
	hooks.FromWebServer = fromWebServer
	return bridge.Config{ApplicationConfig: c.Application, SiteConfig: c.Site, SiteHooks: hooks}.Validate()
}

// dependsOnRequest reports whether a root depends on the request.
func dependsOnRequest(root string) bool { return strings.Contains(root, "{") }
