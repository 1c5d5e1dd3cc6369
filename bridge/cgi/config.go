package cgi

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/textproto"
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
	// Root is the directory of the scripts. php and cgi need it. It is the directory that
	// this path leads to at the time of a request, or did a tenth of a second before: a
	// symlink may be switched. If it is not there, requests are answered with 404 until it
	// is.
	Root string
	// RootOf, if it is not nil, gives the root for a request, in place of Root, which is then
	// only shown. A path that is not absolute, or climbs, is answered with 404, and so is one
	// where no directory is; that a name which a client has chosen is no ".git" is for RootOf
	// to see to. Follow holds for all of them.
	RootOf func(r *http.Request) (string, error)
	// KeepRootSymlink has SCRIPT_FILENAME and DOCUMENT_ROOT begin with Root as it is written.
	// Default: they begin with the directory that it leads to, without symlinks. What was
	// found there is then what the application opens, also if Root is switched to another
	// release meanwhile, or the application remembers where symlinks led, as PHP does.
	KeepRootSymlink bool
	// AppRoot is what the application, in a container or a chroot, calls Root: DOCUMENT_ROOT,
	// and what SCRIPT_FILENAME begins with. Default: as KeepRootSymlink says.
	AppRoot string
	// Unchecked says that the files are not to be seen from here: Root is the application's
	// path. Which part of a path is a script is told by its name alone, up to the first
	// segment that ends in .php, or as a program does.
	Unchecked bool
	// Virtual are the paths of scripts that no file stands for, as they are below Mount:
	// "/ping", "/status" of PHP-FPM. They match as a whole.
	Virtual []string
	// Follow are the directories outside Root that symlinks below it may lead to.
	Follow []string
	// OnRoot, if it is not nil, is told when Root or a directory of Follow is not there, or
	// another one than before. It must not block.
	OnRoot func(RootChange)
	// Index are the files that stand for their directory, the first that exists.
	// Default: index.php for php, none for cgi.
	Index []string
	// Fallback is the script below Root, "/index.php", that answers for paths where
	// nothing is: the front controller of most PHP applications. What is there and may
	// not be served stays out of reach. Default: none.
	Fallback string
	// Static is which files below Root StaticFile and OpenStatic return: StaticOff,
	// StaticUsual or StaticAll. Default: usual for php and cgi, off for app and while
	// Unchecked.
	Static string
	// StaticTypes are the endings of further files, "zip".
	StaticTypes []string
	// StaticDirs are paths below which every file may be sent whose name does not forbid it:
	// "/uploads", below Mount and Root, or "/cgit-css=/usr/share/cgit", a directory of its
	// own.
	StaticDirs []string
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
	// UnderscoreHeaders are the fields with an underscore in their names, "api_key", that are
	// passed although "Api-Key" would be the same variable: that is not passed then.
	UnderscoreHeaders []string
	// OnDropped, if it is not nil, is told of fields that UnderscoreHeaders could list, by
	// their canonical names. It must not block.
	OnDropped func(name string)
	// Software is SERVER_SOFTWARE. Default: "sluice".
	Software string
	// AllReceived says that all requests come with their variables ([Received]), so that php
	// and cgi need no Root.
	AllReceived bool
}

// Mapper turns requests into variables. It does not change after construction
// and is safe for concurrent use.
type Mapper struct {
	preset   string
	mount    string // "" or "/x", no slash at the end
	index    []string
	fallback string   // "" or "/x.php"
	virtual  []string // below the mount
	hide     Prefixes
	static   statics
	env      map[string]string
	envVars  []Var // env, by name
	expand   func(r *http.Request, value string) string
	trusted  trustedPeers
	software string

	dir             string // the root's absolute path as configured, "" if there is none
	root            *Root  // nil: there is none, each request has its own, or it is not looked at
	roots           *roots // if each request has its own
	rootOf          func(r *http.Request) (string, error)
	keepRootSymlink bool
	appRoot         string
	unchecked       bool

	userHeader  string // in canonical form
	underscored underscored
	onDropped   func(name string)
}

// NewMapper checks cfg and opens its directories, those that are there. Errors name the key
// they are about.
func NewMapper(cfg Config) (*Mapper, error) {
	m, err := cfg.mapper()
	if err != nil {
		return nil, err
	}
	if err := m.open(cfg); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *Mapper) open(cfg Config) (err error) {
	switch {
	case m.dir == "" || m.unchecked:
	case m.rootOf != nil:
		m.roots = newRoots(cfg.Follow)
	default:
		if m.root, err = newRoot("root", m.dir, cfg.Follow, cfg.OnRoot); err != nil {
			return err
		}
		m.dir = m.root.Dir()
	}
	for i := range m.static.dirs {
		d := &m.static.dirs[i]
		if d.root, err = newRoot("static_dirs", d.dir, nil, cfg.OnRoot); err != nil {
			return err
		}
	}
	return nil
}

// Validate checks what can be checked without a look at the directories.
func (c Config) Validate() error {
	_, err := c.mapper()
	return err
}

// CheckDirectories returns an error that names the key of a directory that is not there
// now. Whether that is an error is for the caller to know: it may be there later.
func (c Config) CheckDirectories() error {
	m, err := c.mapper()
	if err != nil {
		return err
	}
	if m.dir != "" && !m.unchecked && m.rootOf == nil {
		root, err := OpenRoot(c.Root, c.Follow)
		if err != nil {
			return err
		}
		if err := root.Close(); err != nil {
			return err
		}
	}
	for _, d := range m.static.dirs {
		if t := openTree("static_dirs", d.dir); t.err != nil {
			return t.err
		} else if err := t.root.Close(); err != nil {
			return err
		}
	}
	return nil
}

// mapper returns a Mapper without its directories.
func (c Config) mapper() (*Mapper, error) {
	m := &Mapper{
		preset: c.Preset, software: c.Software, env: maps.Clone(c.Env), expand: c.Expand, onDropped: c.OnDropped,
		dir: c.Root, rootOf: c.RootOf, keepRootSymlink: c.KeepRootSymlink, appRoot: c.AppRoot, unchecked: c.Unchecked,
	}
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
	if m.underscored, err = m.checkUnderscored(c.UnderscoreHeaders); err != nil {
		return nil, err
	}
	if err := m.checkRoot(c); err != nil {
		return nil, err
	}
	if m.virtual, err = m.checkVirtual(c.Virtual); err != nil {
		return nil, err
	}
	if m.static, err = m.checkStatic(c); err != nil {
		return nil, err
	}
	if err := m.checkIndexUse(); err != nil {
		return nil, err
	}
	return m, nil
}

// Root is the directory tree of Config.Root, nil if none was configured, it is not looked
// at, or each request has its own. It is closed with the Mapper.
func (m *Mapper) Root() *Root { return m.root }

// Close closes the directories. Requests must be over.
func (m *Mapper) Close() error {
	var errs []error
	if m.root != nil {
		errs = append(errs, m.root.Close())
	}
	if m.roots != nil {
		errs = append(errs, m.roots.close())
	}
	for _, d := range m.static.dirs {
		if d.root != nil {
			errs = append(errs, d.root.Close())
		}
	}
	return errors.Join(errs...)
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
