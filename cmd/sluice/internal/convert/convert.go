package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

// Kind is the server whose configuration a file is.
type Kind string

// The servers.
const (
	Nginx    Kind = "nginx"
	Lighttpd Kind = "lighttpd"
	Apache   Kind = "apache"
	Caddy    Kind = "caddy"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Nginx, Lighttpd, Apache, Caddy} }

// Result is a configuration of Sluice.
type Result struct {
	Kind   Kind
	Config *config.Standalone
	// Left is what was not carried over, in the order of the files and lines, with the reason.
	Left tomlfile.Problems
}

// language is how the files of a server are read, and what they mean.
type language struct {
	parse     func(*files, string) ([]*directive, error)
	translate func(*builder, []*directive)
}

var languages = map[Kind]language{
	Nginx:    {parseNginx, translateNginx},
	Lighttpd: {parseLighttpd, translateLighttpd},
	Apache:   {parseApache, translateApache},
	Caddy:    {parseCaddy, translateCaddy},
}

// File reads a file, and those that it includes. kind is "" if it is to be found out. An error about
// what is in a file is a tomlfile.Problem.
func File(path string, kind Kind) (*Result, error) {
	fs := newFiles(path)
	text, err := fs.read(path)
	if err != nil {
		return nil, err
	}
	if kind == "" {
		if kind = kindOf(path, text); kind == "" {
			return nil, fmt.Errorf("%s: cannot tell whose configuration it is: name it, --from nginx, lighttpd, apache or caddy", path)
		}
	}
	l := languages[kind]
	directives, err := l.parse(fs, path)
	if err != nil {
		return nil, err
	}
	b := newBuilder(fs.left)
	l.translate(b, directives)
	if len(b.config.Applications) == 0 {
		return nil, fmt.Errorf("%s: no application is behind this %s (no FastCGI, SCGI, uwsgi or HTTP to another server): there is nothing for Sluice to do", path, kind)
	}
	b.complete()
	return &Result{Kind: kind, Config: &b.config, Left: inOrder(b.left)}, nil
}

// inOrder sorts what was left: files as they come first, and their lines.
func inOrder(left tomlfile.Problems) tomlfile.Problems {
	files := make(map[string]int)
	for i, p := range left {
		if _, known := files[p.Path]; !known {
			files[p.Path] = i
		}
	}
	slices.SortStableFunc(left, func(x, y *tomlfile.Problem) int {
		return cmp.Or(cmp.Compare(files[x.Path], files[y.Path]), cmp.Compare(x.At.Line, y.At.Line), cmp.Compare(x.At.Column, y.At.Column))
	})
	return left
}

// directive is a line or a block of a configuration, in any of the languages.
type directive struct {
	path  string
	at    tomlfile.Position
	name  string
	args  []string
	block []*directive // what is in braces, or between tags
	open  bool         // there is a block, which may be empty
	value *value       // in lighttpd's files: what is assigned,
	adds  bool         // to what is assigned already
}

// arg is the i-th argument, "" if there is none.
func (d *directive) arg(i int) string {
	if i >= 0 && i < len(d.args) {
		return d.args[i]
	}
	return ""
}

// String is the directive as people write it.
func (d *directive) String() string {
	return strings.TrimSpace(d.name + " " + strings.Join(d.args, " "))
}

// child is the first directive of that name in the block, nil if there is none.
func (d *directive) child(name string) *directive {
	if i := slices.IndexFunc(d.block, func(c *directive) bool { return c.name == name }); i >= 0 {
		return d.block[i]
	}
	return nil
}

// problem is something wrong with, or to be said about, a directive.
func (d *directive) problem(format string, args ...any) *tomlfile.Problem {
	return &tomlfile.Problem{Path: d.path, At: d.at, Text: fmt.Sprintf(format, args...)}
}
