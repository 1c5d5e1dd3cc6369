package convert

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// location translates a location of a server, or of another location at a path.
func (t *nginxTranslator) location(h *host, d *directive, within, root string) {
	modifier, path := "", d.arg(0)
	if len(d.args) > 1 {
		modifier, path = d.arg(0), d.arg(1)
	}
	if len(d.args) == 1 && strings.HasPrefix(path, "@") {
		return // what names it translates it
	}
	if c := d.child("root"); c != nil {
		root = c.arg(0)
	}
	switch {
	case modifier == "~" || modifier == "~*":
		t.expressionLocation(h, d, path, within, root)
	case denies(d):
		t.hidePath(h, d, path)
	case d.child("internal") != nil:
		t.internal(h, d, path, root, modifier == "=")
	default:
		t.prefixLocation(h, d, path, root, modifier == "=")
	}
}

// denies reports a location whose requests are refused.
func denies(d *directive) bool {
	return slices.ContainsFunc(d.block, func(c *directive) bool {
		return c.name == "deny" && c.arg(0) == "all" || c.name == "return" && len(c.args) == 1 && (c.arg(0) == "403" || c.arg(0) == "404" || c.arg(0) == "444")
	}) && d.child("allow") == nil
}

// hidePath hides a path and all that is below it.
func (b *builder) hidePath(h *host, d *directive, path string) {
	if path = strings.TrimSuffix(path, "/"); path == "" {
		b.leave(d, "hide hides no whole site: what no other rule is about is the application's")
		return
	}
	if _, err := cgi.NewPrefixes("hide", "", []string{path}); err != nil {
		b.leave(d, "hide has paths with everything below them, and cannot say "+path)
		return
	}
	h.at(path, d, func(s *config.HostedSite) { add(&s.Hide, path) })
}

// hide hides what an expression matches.
func (b *builder) hide(h *host, d *directive, expression string) {
	all, err := globs(expression)
	if err != nil {
		b.leave(d, err.Error())
		return
	}
	deeper := ""
	for _, g := range all {
		if i := strings.Index(g.text, "/."); i >= 0 && strings.Trim(g.text[:i], "*") == "" {
			continue // names that begin with a dot are out of reach anyway
		}
		path, whole, ok := g.prefix()
		switch {
		case !ok || !g.begins && strings.Count(path, "/") > 1:
			b.leave(d, "hide has paths with everything below them, and cannot say "+g.pattern())
			continue
		case !whole && strings.Contains(path, "."): // a file
		case !whole:
			b.leave(d, "hide has whole names: of those that begin with "+path+", write each in hide")
		}
		if !g.begins && deeper == "" && (whole || strings.Contains(path, ".")) {
			deeper = "/*" + path
		}
		h.at(path, d, func(s *config.HostedSite) { add(&s.Hide, path) })
	}
	if deeper != "" {
		b.leave(d, "hide has it at the top alone: if there are others in directories, write "+deeper+", too")
	}
}

var phpExpression = regexp.MustCompile(`\\?\.php`)

// expressionLocation translates a location for a regular expression.
func (t *nginxTranslator) expressionLocation(h *host, d *directive, expression, within, root string) {
	pass := passOf(d)
	switch {
	case denies(d) || d.child("internal") != nil && pass == nil:
		t.hide(h, d, expression)
	case pass != nil && phpExpression.MatchString(expression):
		t.php(h, d, pass, expression, root)
	case pass != nil:
		t.leave(d, "applications are at paths: mount is no regular expression")
	default:
		t.staticFiles(h, d, expression)
	}
}

// passOf is the directive that gives requests to an application, nil if there is none.
func passOf(d *directive) *directive {
	for _, name := range []string{"fastcgi_pass", "proxy_pass", "uwsgi_pass", "scgi_pass"} {
		if c := d.child(name); c != nil {
			return c
		}
	}
	return nil
}

// php translates location ~ \.php$ { fastcgi_pass ... }.
func (t *nginxTranslator) php(h *host, d, pass *directive, expression, root string) {
	h.root = cmp.Or(h.root, root)
	app, ok := t.passTo(pass)
	if !ok {
		return
	}
	t.site(h, pass, "", app, config.PresetPHP)
	t.scripts(h, d, expression)
	for _, c := range d.block {
		switch {
		case c == pass || c.name == "root" || c.name == "set" && strings.Contains(c.arg(1), "fastcgi_path_info"):
		case c.name == "try_files": // a missing script is 404, or the fallback's
		case t.wholeLogin(h, c):
		case !t.site1(h, "/", c):
			t.other(c)
		}
	}
}

// wholeLogin has all of a site require log-in where a server has it for what an expression matches: too
// much is safe, and is said.
func (t *nginxTranslator) wholeLogin(h *host, d *directive) bool {
	if d.name != "auth_basic_user_file" {
		return false
	}
	t.leave(d, "auth.paths has paths, not expressions: all of the site requires log-in now")
	h.at("/", d, func(s *config.HostedSite) { login(s, d.arg(0), "") })
	return true
}

// scripts restricts what is run to the scripts that an expression names.
func (t *nginxTranslator) scripts(h *host, d *directive, expression string) {
	all, err := globs(expression)
	if err != nil {
		t.leave(d, err.Error()+"; all scripts below root are run")
		return
	}
	var list []string
	for _, g := range all {
		pattern := strings.TrimSuffix(strings.TrimSuffix(g.pattern(), "*"), "/")
		if pattern == "*.php" || pattern == "/*.php" || pattern == "*/*.php" {
			return // all scripts
		}
		if strings.HasPrefix(pattern, "/") && strings.HasSuffix(pattern, ".php") {
			add(&list, pattern)
		}
	}
	h.at("/", d, func(s *config.HostedSite) {
		for _, script := range list {
			add(&s.Scripts, script)
		}
	})
}

// passTo is the application of a fastcgi_pass and the like.
func (t *nginxTranslator) passTo(pass *directive) (*config.NamedApplication, bool) {
	to := pass.arg(0)
	if strings.Contains(to, "$") {
		t.leave(pass, "the address is a variable")
		return nil, false
	}
	protocol := map[string]string{"proxy_pass": "http", "uwsgi_pass": "uwsgi", "scgi_pass": "scgi", "fastcgi_pass": "fcgi"}[pass.name]
	if scheme, rest, ok := strings.Cut(to, "://"); ok {
		if scheme == "https" {
			t.leave(pass, "Sluice speaks no TLS to applications")
			return nil, false
		}
		to = rest
	}
	if protocol == "http" {
		var path string
		if rest, unix := strings.CutPrefix(to, "unix:"); unix {
			if socket, uri, ok := strings.Cut(rest, ":"); ok {
				to, path = "unix:"+socket, uri
			}
		} else if i := strings.IndexByte(to, '/'); i >= 0 {
			to, path = to[:i], to[i:]
		}
		if path != "" && path != "/" {
			t.leave(pass, "the path "+path+" is not put in place of the location: the application gets the path as the client sends it")
		}
	}
	addresses := t.upstreams[to]
	if addresses == nil {
		addresses = []string{to}
	}
	var backends []string
	for _, addr := range addresses {
		backends = append(backends, backendAddress(protocol, addr))
	}
	return t.application(backends, nil), true
}

// backendAddress is an address of an application in the way of a setting.
func backendAddress(protocol, addr string) string {
	if path, unix := strings.CutPrefix(addr, "unix:"); unix {
		if protocol == "fcgi" {
			return "unix:" + path
		}
		return protocol + "+unix:" + path
	}
	if protocol == "http" && !strings.Contains(strings.TrimSuffix(addr, "]"), ":") {
		addr += ":80"
	}
	if protocol == "fcgi" {
		return addr
	}
	return protocol + "://" + addr
}

// prefixLocation translates a location for a path and what is below it.
func (t *nginxTranslator) prefixLocation(h *host, d *directive, path, root string, exact bool) {
	pass := passOf(d)
	if pass != nil {
		t.mounted(h, pass, d, path, root)
	}
	if c := d.child("alias"); c != nil && pass == nil {
		t.staticDir(h, c, path, c.arg(0))
	} else if c := d.child("root"); c != nil && pass == nil && path != "/" {
		t.staticDir(h, c, path, strings.TrimSuffix(c.arg(0), "/")+strings.TrimSuffix(path, "/"))
	} else if path == "/" && d.child("root") != nil {
		h.root = root
	}
	for _, c := range d.block {
		switch c.name {
		case "alias", "root", "log_not_found", "allow", pass.nameOr():
			if c.name == "allow" && c.arg(0) != "all" {
				t.leave(c, "Sluice lets all addresses in")
			}
		case "index":
			h.index = c.args
		case "location":
			t.location(h, c, path, root)
		case "try_files":
			t.tryFiles(h, c, path, root)
		case "return":
			froms := below(path)
			if exact {
				froms = []string{path}
			}
			t.returns(h, c, froms)
		case "rewrite":
			t.rewrite(h, c)
		case "expires":
			t.expires(h, c, strings.TrimSuffix(path, "/")+"/*")
		case "if":
			if !t.ifMissing(h, c) {
				t.other(c)
			}
		case "add_header":
			if path != "/" || !t.ofTLS(h, c) {
				t.other(c)
			}
		default:
			if !t.site1(h, path, c) {
				t.other(c)
			}
		}
	}
}

// internal translates a location that no client gets to: of files, which the application names in
// X-Accel-Redirect, or of an application, which nginx itself asks.
func (t *nginxTranslator) internal(h *host, d *directive, path, root string, exact bool) {
	t.hidePath(h, d, path)
	if pass := passOf(d); pass != nil {
		t.leave(pass, "clients do not get there, and only an authorizer is asked by Sluice itself: see authorizer.address")
		return
	}
	dir := ""
	if root != "" {
		dir = strings.TrimSuffix(root, "/") + "/" + strings.Trim(path, "/")
	}
	for _, c := range d.block {
		switch c.name {
		case "internal", "root":
		case "alias":
			dir = c.arg(0)
		default:
			if !t.site1(h, path, c) {
				t.other(c)
			}
		}
	}
	switch {
	case exact: // an error page
	case !strings.HasPrefix(dir, "/") || strings.Contains(dir, "$") || strings.Trim(path, "/") == "":
		t.leave(d, "sendfile has constant directories, for paths of their own")
	default:
		h.at(path, d, func(s *config.HostedSite) {
			add(&s.Sendfile, "/"+strings.Trim(path, "/")+"="+strings.TrimSuffix(dir, "/"))
		})
	}
}

// nameOr is the directive's name, "" without a directive.
func (d *directive) nameOr() string {
	if d == nil {
		return ""
	}
	return d.name
}

// mounted puts an application at a path.
func (t *nginxTranslator) mounted(h *host, pass, d *directive, path, root string) {
	app, ok := t.passTo(pass)
	if !ok {
		return
	}
	script := ""
	for _, c := range d.block {
		if c.name == "fastcgi_param" && c.arg(0) == "SCRIPT_FILENAME" {
			script = c.arg(1)
		}
		if c.name == "include" && strings.HasSuffix(c.arg(0), "fastcgi.conf") {
			script = cmp.Or(script, "$document_root$fastcgi_script_name")
		}
	}
	preset := config.PresetApp
	switch {
	case script != "" && !strings.Contains(script, "$"):
	case strings.Contains(strings.Join(app.Backends, ""), "fcgiwrap") || strings.Contains(path, "cgi-bin"):
		preset = config.PresetCGI
		h.at(path, d, func(s *config.HostedSite) { s.Root = root })
	case strings.Contains(script, "$fastcgi_script_name") || strings.Contains(script, "$uri"):
		preset = config.PresetPHP
		h.root = cmp.Or(h.root, root)
	}
	mount := strings.TrimSuffix(path, "/")
	if preset != config.PresetApp {
		mount = ""
		if path != "/" {
			h.at("/", d, func(s *config.HostedSite) { add(&s.Scripts, strings.TrimSuffix(path, "/")+"/*") })
		}
	}
	t.site(h, pass, mount, app, preset)
}

// staticDir has the files of a directory sent at a path.
func (b *builder) staticDir(h *host, d *directive, path, dir string) {
	path = "/" + strings.Trim(path, "/")
	if path == "/" || strings.ContainsAny(dir, "$,") || strings.Contains(path, ",") {
		b.leave(d, "static_dirs has constant directories, below paths of their own")
		return
	}
	h.at(path, d, func(s *config.HostedSite) {
		add(&s.StaticDirs, path+"="+strings.TrimSuffix(dir, "/"))
	})
}

// tryFiles translates the last target of a try_files, which answers where nothing is.
func (t *nginxTranslator) tryFiles(h *host, d *directive, path, root string) {
	if len(d.args) == 0 {
		return
	}
	last := d.args[len(d.args)-1]
	for _, a := range d.args[:len(d.args)-1] {
		if !slices.Contains([]string{"$uri", "$uri/", "$fastcgi_script_name", "$request_uri", "$request_filename", "$document_root$fastcgi_script_name"}, a) {
			t.leave(d, "of this, only the last target is carried over")
		}
	}
	switch {
	case strings.HasPrefix(last, "=") || strings.HasPrefix(last, "$uri"):
	case strings.HasPrefix(last, "@"):
		t.named(h, d, last, path, root)
	case path != "/" && !strings.HasPrefix(last, strings.TrimSuffix(path, "/")+"/"):
		t.leave(d, "fallback is for a whole site")
	default:
		to, _ := withoutQuery(last)
		ok := true
		for _, variable := range []string{"$request_uri", "$uri"} {
			if before, cut := strings.CutSuffix(to, ".php"+variable); cut {
				to = before + ".php/*"
			}
		}
		if path != "/" {
			// Where nothing is below the path: what is there is looked up first.
			t.leave(d, "fallback is for a whole site; if it is to be for "+path+" alone, give that a site of its own")
		}
		t.fallback(h, d, to, ok)
	}
}

// named translates a location @name, which answers where no file is.
func (t *nginxTranslator) named(h *host, d *directive, name, path, root string) {
	var at *directive
	for _, c := range h.d.block {
		if c.name == "location" && c.arg(0) == name {
			at = c
		}
	}
	if at == nil {
		t.leave(d, "there is no location "+name)
		return
	}
	if pass := passOf(at); pass != nil && !hasRewrite(at) {
		t.mounted(h, pass, at, path, root)
		if root != "" {
			h.at(path, d, func(s *config.HostedSite) { // what is a file is sent before the application is asked
				if s.Root = root; s.Static == "" {
					s.Static = config.StaticAll
				}
			})
		}
	}
	for _, c := range at.block {
		switch c.name {
		case "rewrite":
			t.missing(h, c, c.arg(0), c.arg(1), '$')
		case passOf(at).nameOr(), "try_files":
		default:
			if !t.site1(h, path, c) {
				t.other(c)
			}
		}
	}
}

func hasRewrite(d *directive) bool { return d.child("rewrite") != nil }

// staticFiles translates a location for types of files.
func (t *nginxTranslator) staticFiles(h *host, d *directive, expression string) {
	all, err := globs(strings.ReplaceAll(expression, "(?:", "("))
	for _, c := range d.block {
		switch c.name {
		case "expires":
			if err != nil {
				t.leave(d, err.Error())
				return
			}
			for _, g := range all {
				t.expires(h, c, g.pattern())
			}
		case "try_files":
			t.tryFiles(h, c, "/", "")
		case "add_header":
			if strings.EqualFold(c.arg(0), "Cache-Control") && err == nil && !strings.Contains(c.arg(1), "$") {
				for _, g := range all {
					h.at("/", c, func(s *config.HostedSite) { add(&s.StaticCache, g.pattern()+" "+c.arg(1)) })
				}
				continue
			}
			t.other(c)
		case "log_not_found":
		default:
			if !t.wholeLogin(h, c) && !t.site1(h, "/", c) {
				t.other(c)
			}
		}
	}
}

// expires translates how long files may be kept.
func (t *nginxTranslator) expires(h *host, d *directive, pattern string) {
	value := ""
	switch text := d.arg(0); text {
	case "off":
		return
	case "max":
		value = "max-age=315360000"
	case "epoch", "-1":
		value = "no-cache"
	default:
		age, ok := ageOf(text)
		if !ok {
			t.leave(d, "is no time that static_cache can say")
			return
		}
		value = "max-age=" + age
	}
	h.at("/", d, func(s *config.HostedSite) { add(&s.StaticCache, pattern+" "+value) })
}

// ageOf is a time such as 30d or 1y in seconds.
func ageOf(text string) (string, bool) {
	number, unit := text[:len(text)-len(strings.TrimLeft(text, "0123456789"))], strings.TrimLeft(text, "0123456789")
	n, err := strconv.Atoi(number)
	by := map[string]int{"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "M": 30 * 86400, "y": 365 * 86400}[unit]
	if err != nil || by == 0 || n > 100*365*86400/by {
		return "", false
	}
	return strconv.Itoa(n * by), true
}
