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

// Config says how requests become variables. The zero value describes an application
// mounted at "/" without a proxy in front.
type Config struct {
	// Preset is PresetApp (the default), PresetPHP or PresetCGI.
	Preset string
	// Mount is the URL path of the application: "/sandbox" matches "/sandbox" and
	// "/sandbox/x", not "/sandboxes". SCRIPT_NAME starts with it; the path below Root does
	// not include it. Default: all paths.
	Mount string
	// Root is the directory of the scripts. The presets php and cgi need it. The path is
	// resolved again every tenth of a second, so that a symlink may be switched. While the
	// directory does not exist, requests are answered with 404.
	Root string
	// RootOf, if it is not nil, returns the root for a request. Root is then only shown. A path
	// that is not absolute, contains "..", or is no directory is answered with 404. RootOf must
	// refuse names such as ".git" itself if a client can choose a part of the path. Follow
	// applies to all of these roots.
	RootOf func(r *http.Request) (string, error)
	// KeepRootSymlink makes SCRIPT_FILENAME and DOCUMENT_ROOT start with Root as written.
	// Default: they start with the directory that Root leads to, without symlinks. The
	// application then opens the file that was found here, even if Root is switched to another
	// release meanwhile, or the application caches where symlinks lead, as PHP does.
	KeepRootSymlink bool
	// AppRoot is the path of Root as seen by an application in a container or a chroot. It is
	// DOCUMENT_ROOT, and SCRIPT_FILENAME starts with it. Default: as KeepRootSymlink says.
	AppRoot string
	// Unchecked says that this process cannot see the files, and that Root is the
	// application's path. The script of a path is then found by name alone: it ends at the
	// first segment with the extension .php, or with preset cgi one of a program.
	Unchecked bool
	// Virtual lists paths of scripts without a file, relative to Mount: "/ping" and "/status"
	// of PHP-FPM. They match as a whole.
	Virtual []string
	// Follow lists the directories outside Root that symlinks below it may lead to.
	Follow []string
	// OnRoot, if it is not nil, is called when Root or a directory of Follow is missing, or has
	// been replaced by another one. It must not block.
	OnRoot func(RootChange)
	// Index lists the file names that answer for a directory; the first that exists does.
	// Default: index.php for php, none for cgi.
	Index []string
	// Fallback is the script below Root, such as "/index.php", that answers for paths that lead
	// to nothing: the front controller of most PHP applications. It does not answer for files
	// that exist and must not be served. "/index.php/*" gives it the path as PATH_INFO,
	// "/doku.php?id=*" in the query. Default: none.
	Fallback string
	// Scripts lists the only scripts that are run, as paths below Root, with "*" for any run of
	// characters. Others are as if nothing were there. Default: all.
	Scripts []string
	// Redirect lists what clients are led away from: "/old /new 301", "/blog/* https://blog.example.org/*",
	// "//www.example.org/* https://example.org/*". Each "*" of the second word stands for what that of the
	// first has matched. The first redirect that matches counts.
	Redirect []string
	// Rewrite lists what is looked up in place of what clients ask for: "/wiki/* /index.php?title=*".
	// REQUEST_URI stays what it was. Both paths must not be hidden. The first that matches counts,
	// once, after Redirect.
	Rewrite []string
	// Static selects the files below Root that StaticFile and OpenStatic return: StaticOff,
	// StaticUsual or StaticAll. Default: StaticUsual for php and cgi, StaticOff for app and if
	// Unchecked.
	Static string
	// StaticTypes lists the extensions of further files, such as "zip".
	StaticTypes []string
	// StaticDirs lists paths below which every file may be sent whose name does not forbid it:
	// "/uploads" below Mount and Root, or "/cgit-css=/usr/share/cgit" for a directory outside
	// the root.
	StaticDirs []string
	// StaticMissing says what answers for a path below StaticDirs where no file is: "pass" (the
	// default), the application; "404", nothing else.
	StaticMissing string
	// StaticCache lists patterns of paths, and the value of Cache-Control for the files there:
	// "/assets/* max-age=3600", "*.css max-age=60". "*" stands for any run of characters. A pattern with
	// a "?" is compared with the query, too. The first that matches counts.
	StaticCache []string
	// StaticPrecompressed lists the codings, "br", "zstd" and "gzip", for which there may be another
	// file beside a static file, FILE.br, FILE.zst or FILE.gz. Clients that accept the coding are sent
	// that one, if it is not older.
	StaticPrecompressed []string
	// Hide lists paths, such as "/data", that are answered as if they and everything below them
	// did not exist: as scripts, as static files, as an index, and in a local redirect. Each is
	// a whole URL path, "/wiki/data", or one relative to Mount.
	Hide []string
	// Env is further variables. They override all others, those of client headers included.
	// Values may hold LF (PHP_VALUE needs it), not NUL or CR.
	Env map[string]string
	// Expand, if it is not nil, returns a value of Env for a request. Default: the value as
	// written.
	Expand func(r *http.Request, value string) string
	// TrustedProxies lists the peers whose Forwarded or X-Forwarded-For, -Proto, -Host and
	// -Port fields are believed: IP addresses, CIDR prefixes, or "unix" for all peers on a unix
	// socket.
	TrustedProxies []string
	// UserHeader is the field in which a trusted proxy names the user who has logged in. From
	// other peers the field is not passed on. Default: none.
	UserHeader string
	// PassUser is the field in which an application that speaks HTTP is told Client.User. It
	// is never passed on from a client. Default: the application is not told.
	PassUser string
	// GrantedFields lists the fields of an authorizer's answer in HTTP that the application gets. They
	// and UsualGrantedFields are then never passed on from a client or a web server. Default: there
	// is no such authorizer.
	GrantedFields []string
	// UnderscoreHeaders lists fields with an underscore in their names, such as "api_key", that
	// are passed on. The field with hyphens, "Api-Key", would be the same variable and is then
	// dropped.
	UnderscoreHeaders []string
	// OnDropped, if it is not nil, is called with the canonical name of each dropped field that
	// UnderscoreHeaders could list. It must not block.
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
	preset              string
	mount               string // "" or "/x", no slash at the end
	index               []string
	fallback            fallback
	scripts             []string // patterns; empty: all
	redirects, rewrites detours
	virtual             []string // below the mount
	hide                Prefixes
	static              statics
	env                 map[string]string
	envVars             []Var // env, by name
	expand              func(r *http.Request, value string) string
	trusted             trustedPeers
	software            string

	dir             string // the root's absolute path as configured, "" if there is none
	root            *Root  // nil: there is none, each request has its own, or files are unchecked
	roots           *roots // if each request has its own
	rootOf          func(r *http.Request) (string, error)
	keepRootSymlink bool
	appRoot         string
	unchecked       bool

	userHeader  string // in canonical form
	userVar     string // the variable of userHeader
	passUser    string // in canonical form
	granted     grantedFields
	underscored underscored
	onDropped   func(name string)
}

// NewMapper checks cfg and opens those of its directories that exist. Errors name the key
// that they are about.
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

// Validate checks c without access to the directories.
func (c Config) Validate() error {
	_, err := c.mapper()
	return err
}

// CheckDirectories returns an error that names the key of a directory that does not exist now.
// It may exist later, so the caller decides whether this is an error.
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
	if m.index, err = checkIndex(m.preset, c.Index, c.StaticDirs); err != nil {
		return nil, err
	}
	if m.fallback, err = newFallback(m.preset, c.Fallback); err != nil {
		return nil, err
	}
	if m.scripts, err = checkScripts(m.preset, c.Scripts); err != nil {
		return nil, err
	}
	if m.redirects, err = newRedirects(c.Redirect); err != nil {
		return nil, err
	}
	if m.hide, err = newHidden(m.mount, c.Hide); err != nil {
		return nil, err
	}
	switch script := m.fallback.script; {
	case script != "" && m.hide.Has(m.mount+script):
		return nil, fmt.Errorf("cgi: fallback %q: can answer nothing, hide has it out of reach", c.Fallback)
	case script != "" && len(m.scripts) > 0 && !matchesAny(m.scripts, script):
		return nil, fmt.Errorf("cgi: fallback %q: can answer nothing, it is not in scripts", c.Fallback)
	}
	if m.rewrites, err = newRewrites(m.mount, m.hide, m.redirects, c.Rewrite); err != nil {
		return nil, err
	}
	if m.envVars, err = sortedEnv(c.Env); err != nil {
		return nil, err
	}
	if m.trusted, err = parseTrusted(c.TrustedProxies); err != nil {
		return nil, err
	}
	if m.userHeader, err = checkUserField("user_header", c.UserHeader); err != nil {
		return nil, err
	}
	if m.userHeader != "" {
		m.userVar = "HTTP_" + strings.ToUpper(strings.ReplaceAll(m.userHeader, "-", "_"))
	}
	if m.passUser, err = checkUserField("pass_user", c.PassUser); err != nil {
		return nil, err
	}
	if m.granted, err = newGrantedFields(c.GrantedFields); err != nil {
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
	if err := m.checkVariants(&m.static, c); err != nil {
		return nil, err
	}
	if err := m.checkIndexUse(); err != nil {
		return nil, err
	}
	return m, nil
}

// Root returns the directory tree of Config.Root, nil if none is configured, files are
// unchecked, or each request has its own root. It is closed with the Mapper.
func (m *Mapper) Root() *Root { return m.root }

// CheckDirectories returns an error that names the key of a directory that is not there now.
func (m *Mapper) CheckDirectories() error {
	if m.root != nil {
		if err := m.root.check(); err != nil {
			return err
		}
	}
	for _, d := range m.static.dirs {
		if err := d.root.check(); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the directories. No request may use the Mapper any more.
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

// checkUserField returns the name of a field that names a user in its canonical form. It
// refuses fields that ordinary requests contain.
func checkUserField(setting, name string) (string, error) {
	key := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case name == "":
		return "", nil
	case !passable(key):
		return "", fmt.Errorf("cgi: %s %q: a name is letters, digits and hyphens", setting, name)
	case headerVars[key] != headerVar{}:
		return "", fmt.Errorf("cgi: %s %q: has a meaning of its own (name a field that only the proxy sets, such as X-Remote-User)", setting, name)
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

// hasBreak reports whether s holds a byte that ends a string or a line elsewhere: in C, in a
// log, in a header.
func hasBreak(s string) bool {
	return strings.IndexByte(s, 0) >= 0 || strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0
}

// trustedPeers is the set of Config.TrustedProxies.
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
