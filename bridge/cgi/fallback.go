package cgi

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// fallback is the script that answers for paths that lead to nothing. Its zero value is none.
type fallback struct {
	script   string   // "/index.php", below the root
	pathInfo bool     // the path becomes PATH_INFO
	query    template // "id=*": of which each star stands for the path without its first slash
}

// resolve returns what answers for rest, a path below the mount.
func (f *fallback) resolve(rest string) resolved {
	t := resolved{script: f.script}
	if f.pathInfo {
		t.pathInfo = or(rest, "/")
	}
	if len(f.query) > 0 {
		var whole stars
		for range f.query.stars() {
			whole.add(strings.TrimPrefix(rest, "/"))
		}
		t.query = f.query.expand(&whole, 0, url.QueryEscape)
	}
	return t
}

// newFallback checks Config.Fallback.
func newFallback(preset, text string) (f fallback, err error) {
	if text == "" {
		return f, nil
	}
	script, query, asks := strings.Cut(text, "?")
	if asks {
		f.query = newTemplate(query)
	}
	f.script, f.pathInfo = strings.CutSuffix(script, "/*")
	switch script = f.script; {
	case preset == PresetApp:
		return f, errors.New("cgi: fallback: preset \"app\" has no files (remove it, or use preset \"php\")")
	case script == "" || script[0] != '/' || path.Clean(script) != script || script == "/" || hasBreak(script) || strings.Contains(script, "*"):
		return f, fmt.Errorf("cgi: fallback %q: must be a script's path like \"/index.php\"", text)
	case preset == PresetPHP && !hasPHPSuffix(script):
		return f, fmt.Errorf("cgi: fallback %q: must end in .php, nothing else is run", text)
	case hasDot(script):
		return f, fmt.Errorf("cgi: fallback %q: can answer nothing, what begins with a dot is not run", text)
	case asks && (query == "" || printable(query) != query):
		return f, fmt.Errorf("cgi: fallback %q: want a query behind \"?\" such as page=*, with %%XX for what URLs have not", text)
	case f.query.stars() > maxStars:
		return f, fmt.Errorf("cgi: fallback %q: has %d \"*\" in its query, want %d at most", text, f.query.stars(), maxStars)
	}
	return f, nil
}
