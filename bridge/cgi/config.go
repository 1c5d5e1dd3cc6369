package cgi

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/netip"
	"net/textproto"
	"path"
	"slices"
	"strings"
)

// Presets, the values of Config.Preset.
const (
	PresetApp = "app" // one application mounted at a prefix (Trac, WSGI, Perl, C)
	PresetPHP = "php" // PHP scripts below a root
	PresetCGI = "cgi" // one executable per script below a root, run by fcgiwrap
)

// Config says how requests become variables. The zero value is an application
// mounted at "/" that no proxy stands in front of.
type Config struct {
	// Preset is PresetApp (the default), PresetPHP or PresetCGI.
	Preset string
	// Mount is the path the application lives at, "/sandbox": it matches
	// "/sandbox" and "/sandbox/x", not "/sandboxes". It starts SCRIPT_NAME, and
	// is not part of the path below Root. Default: everything.
	Mount string
	// Root is the directory of the scripts and DOCUMENT_ROOT. php and cgi need
	// it. It is opened once: if it is a symlink that is switched later, its files
	// are still looked up in the old directory.
	Root string
	// Follow are the directories outside Root that symlinks below it may lead to.
	Follow []string
	// Index are the files that stand for their directory, the first that exists.
	// Default: index.php for php, none for cgi.
	Index []string
	// Fallback is the script below Root, "/index.php", that answers for paths where
	// nothing is: the front controller of most PHP applications. What is there and may
	// not be served stays out of reach. Default: none.
	Fallback string
	// Hide are the paths, "/data", that are answered as if nothing were there or
	// below: neither scripts nor static files, nor as an index, nor by a local
	// redirect. Each is a whole URL path, "/wiki/data", or one below Mount.
	Hide []string
	// Env are more variables. They win over everything else, client headers
	// included. Values may hold LF (PHP_VALUE needs it), not NUL or CR.
	Env map[string]string
	// Expand, if it is not nil, gives each value of Env the form it has for a request.
	// Default: as it is written.
	Expand func(r *http.Request, value string) string
	// TrustedProxies are the peers whose Forwarded, or X-Forwarded-For, -Proto, -Host and
	// -Port, are believed: IP addresses, CIDR prefixes, or "unix" for everyone who
	// connects over a unix socket.
	TrustedProxies []string
	// UserHeader is the field in which a trusted proxy says who has logged in. From
	// anybody else it is not passed on. Default: none.
	UserHeader string
	// Software is SERVER_SOFTWARE. Default: "sluice".
	Software string
}

// Mapper turns requests into variables. It does not change after construction
// and is safe for concurrent use.
type Mapper struct {
	preset   string
	mount    string // "" or "/x", no slash at the end
	root     *Root  // nil if there is none
	index    []string
	fallback string // "" or "/x.php"
	hide     Prefixes
	env      map[string]string
	envVars  []Var // env, by name
	expand   func(r *http.Request, value string) string
	trusted  trustedPeers
	software string

	userHeader string // in canonical form
}

// NewMapper checks cfg and opens its directories. Errors name the key they are
// about.
func NewMapper(cfg Config) (*Mapper, error) {
	m, err := cfg.mapper()
	if err != nil || cfg.Root == "" {
		return m, err
	}
	if m.root, err = OpenRoot(cfg.Root, cfg.Follow); err != nil {
		return nil, err
	}
	return m, nil
}

// Validate checks what can be checked without a look at the directories.
func (c Config) Validate() error {
	_, err := c.mapper()
	return err
}

// mapper returns a Mapper without its root.
func (c Config) mapper() (*Mapper, error) {
	m := &Mapper{preset: c.Preset, software: c.Software, env: maps.Clone(c.Env), expand: c.Expand}
	if m.preset == "" {
		m.preset = PresetApp
	}
	if m.software == "" {
		m.software = "sluice"
	}
	if hasBreak(m.software) {
		return nil, fmt.Errorf("cgi: software %q: must not hold NUL, CR or LF", m.software)
	}
	var err error
	if m.mount, err = cleanMount(c.Mount); err != nil {
		return nil, err
	}
	if m.index, err = checkIndex(m.preset, c.Index); err != nil {
		return nil, err
	}
	if m.fallback, err = checkFallback(m.preset, c.Fallback); err != nil {
		return nil, err
	}
	if m.hide, err = newHidden(m.mount, c.Hide); err != nil {
		return nil, err
	}
	if m.fallback != "" && m.hide.Has(m.mount+m.fallback) {
		return nil, fmt.Errorf("cgi: fallback %q: can answer nothing, hide has it out of reach", m.fallback)
	}
	if m.envVars, err = sortedEnv(c.Env); err != nil {
		return nil, err
	}
	if m.trusted, err = parseTrusted(c.TrustedProxies); err != nil {
		return nil, err
	}
	if m.userHeader, err = checkUserHeader(c.UserHeader); err != nil {
		return nil, err
	}
	if err := m.checkRoot(c); err != nil {
		return nil, err
	}
	return m, nil
}

// Root is the directory tree of Config.Root, nil if none was configured. It is
// closed with the Mapper.
func (m *Mapper) Root() *Root { return m.root }

// Close closes the directories. Requests must be over.
func (m *Mapper) Close() error {
	if m.root == nil {
		return nil
	}
	return m.root.Close()
}

func (m *Mapper) checkRoot(cfg Config) error {
	switch m.preset {
	case PresetApp:
	case PresetPHP, PresetCGI:
		if cfg.Root == "" {
			return fmt.Errorf("cgi: root: preset %q needs the directory of its scripts", m.preset)
		}
	default:
		return fmt.Errorf("cgi: preset %q: must be %q, %q or %q", m.preset, PresetApp, PresetPHP, PresetCGI)
	}
	if m.preset == PresetApp && len(cfg.Follow) > 0 {
		return errors.New("cgi: follow: means nothing with preset \"app\", which looks for no files (remove it, or use preset \"php\")")
	}
	for _, dir := range append([]string{cfg.Root}, cfg.Follow...) {
		if hasBreak(dir) {
			return fmt.Errorf("cgi: root or follow %q: must not hold NUL, CR or LF", dir)
		}
	}
	return nil
}

func cleanMount(mount string) (string, error) {
	trimmed := strings.TrimSuffix(mount, "/")
	switch {
	case trimmed == "":
		return "", nil
	case trimmed[0] != '/':
		return "", fmt.Errorf("cgi: mount %q: must start with \"/\"", mount)
	case path.Clean(trimmed) != trimmed || hasBreak(trimmed):
		return "", fmt.Errorf("cgi: mount %q: must be a plain path like \"/sandbox\"", mount)
	}
	return trimmed, nil
}

func checkIndex(preset string, index []string) ([]string, error) {
	if preset == PresetApp && len(index) > 0 {
		return nil, errors.New("cgi: index: preset \"app\" has no files (remove it, or use preset \"php\")")
	}
	for _, name := range index {
		switch {
		case !fs.ValidPath(name) || name == "." || hasBreak(name):
			return nil, fmt.Errorf("cgi: index %q: must be a file name", name)
		case hasDot("/" + name):
			return nil, fmt.Errorf("cgi: index %q: can stand for no directory, what begins with a dot is neither run nor sent", name)
		}
	}
	if preset == PresetPHP && len(index) == 0 {
		return []string{"index.php"}, nil
	}
	return slices.Clone(index), nil
}

func checkFallback(preset, script string) (string, error) {
	switch {
	case script == "":
		return "", nil
	case preset == PresetApp:
		return "", errors.New("cgi: fallback: preset \"app\" has no files (remove it, or use preset \"php\")")
	case script[0] != '/' || path.Clean(script) != script || script == "/" || hasBreak(script):
		return "", fmt.Errorf("cgi: fallback %q: must be a script's path like \"/index.php\"", script)
	case preset == PresetPHP && !hasPHPSuffix(script):
		return "", fmt.Errorf("cgi: fallback %q: must end in .php, nothing else is run", script)
	case hasDot(script):
		return "", fmt.Errorf("cgi: fallback %q: can answer nothing, what begins with a dot is not run", script)
	}
	return script, nil
}

// checkUserHeader returns the name in its canonical form. Fields with a meaning of their
// own are in everybody's requests.
func checkUserHeader(name string) (string, error) {
	key := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case name == "":
		return "", nil
	case !passable(key):
		return "", fmt.Errorf("cgi: user_header %q: a name is letters, digits and hyphens", name)
	case headerVars[key] != headerVar{}:
		return "", fmt.Errorf("cgi: user_header %q: has a meaning of its own (name a field that only the proxy sets, such as X-Remote-User)", name)
	}
	return key, nil
}

func sortedEnv(env map[string]string) ([]Var, error) {
	vars := make([]Var, 0, len(env))
	for name, value := range env {
		if !validVarName(name) {
			return nil, fmt.Errorf("cgi: env %q: a name is letters, digits and underscores", name)
		}
		if strings.ContainsAny(value, "\x00\r") {
			return nil, fmt.Errorf("cgi: env %s: the value must not hold NUL or CR", name)
		}
		vars = append(vars, Var{name, value})
	}
	slices.SortFunc(vars, func(a, b Var) int { return strings.Compare(a.Name, b.Name) })
	return vars, nil
}

func validVarName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && !isAlphanumeric(c) {
			return false
		}
	}
	return name != ""
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// hasBreak reports bytes that end a string or a line for somebody: in C, in a
// log, in a header.
func hasBreak(s string) bool {
	return strings.IndexByte(s, 0) >= 0 || strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0
}

// trustedPeers are the peers whose word about the client is taken.
type trustedPeers struct {
	unix     bool
	prefixes []netip.Prefix
}

func parseTrusted(list []string) (trustedPeers, error) {
	var t trustedPeers
	for _, s := range list {
		if s == "unix" {
			t.unix = true
			continue
		}
		if addr, err := netip.ParseAddr(s); err == nil {
			addr = addr.Unmap().WithZone("")
			t.prefixes = append(t.prefixes, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			return t, fmt.Errorf("cgi: trusted_proxies %q: must be an IP address, a prefix like 10.0.0.0/8, or \"unix\"", s)
		}
		if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		t.prefixes = append(t.prefixes, prefix.Masked())
	}
	return t, nil
}

func (t *trustedPeers) has(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, p := range t.prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
