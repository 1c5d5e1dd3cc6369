package convert

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// apacheNeedless are directives, in lower case, that need nothing in Sluice.
var apacheNeedless = wordSet(`acceptpathinfo accessfilename addcharset adddefaultcharset addencoding addicon addiconbyencoding addiconbytype addlanguage
	addoutputfilter addoutputfilterbytype addtype allowencodedslashes authbasicprovider authname authtype browsermatch contentdigest customlog deflatecompressionlevel
	documentindex enablemmap enablesendfile errorlog errorlogformat expiresactive extendedstatus fcgidbusytimeout fcgidconnecttimeout fcgididletimeout
	fcgidipcdir fcgidmaxprocessesperclass fcgidminprocessesperclass fcgidoutputbuffersize fcgidprocesslifetime fcgidprocesstablefile fcgidspawnscore
	fcgidzombiescaninterval fileetag forcetype group hostnamelookups indexignore indexoptions keepalive keepalivetimeout limitrequestfields
	limitrequestfieldsize limitrequestline listenbacklog loadmodule logformat loglevel maxclients maxconnectionsperchild maxkeepaliverequests
	maxrequestworkers maxspareservers maxsparethreads minspareservers minsparethreads mutex namevirtualhost options order passenv pidfile proxypassreverse
	proxypreservehost proxyrequests proxyset requestheader requestreadtimeout rewritebase rewriteengine serveradmin serverlimit serverroot serversignature
	servertokens setenvif startservers threadlimit threadsperchild traceenable typesconfig user usecanonicalname wsgiprocessgroup wsgiapplicationgroup
	wsgipassauthorization wsgiscriptreloading addhandler scriptsock satisfy allow dav readmename headername defaulticon`)

type apacheTranslator struct {
	*builder
	// Of the host that is translated:
	fcgidEnv  map[string]string
	instances int                   // of applications of mod_fcgid
	daemons   map[string]*directive // of WSGIDaemonProcess

	fcgid  map[string]bool     // names of the applications that mod_fcgid starts
	ports  map[string]bool     // with TLS
	secure map[*directive]bool // are in virtual hosts for TLS alone
}

func translateApache(b *builder, all []*directive) {
	t := &apacheTranslator{builder: b, fcgid: map[string]bool{}, ports: apachePorts(all), secure: map[*directive]bool{}}
	b.main, b.shared = b.host(&directive{}, nil), map[*directive]bool{}
	t.virtualHosts(all)
}

// globals are what other directives refer to.
func (t *apacheTranslator) globals(all []*directive) {
	for _, d := range all {
		switch strings.ToLower(d.name) {
		case "fcgidinitialenv", "defaultinitenv":
			t.fcgidEnv[d.arg(0)] = d.arg(1)
		case "fcgidmaxprocesses", "fcgidmaxprocessesperclass":
			if n, err := strconv.Atoi(d.arg(0)); err == nil && n > 0 && n <= 64 {
				t.instances = n
			}
		case "wsgidaemonprocess":
			t.daemons[d.arg(0)] = d
		}
		t.globals(d.block)
	}
}

// scriptsAreRun is why a directory without a handler is not carried over.
const scriptsAreRun = "scripts are run there, as elsewhere below the root: name those that are to be run in scripts, or the directory in hide"

// scope is what the directives of a section are about.
type scope struct {
	path  string // URLs below it
	dir   string // files below it, of <Directory>
	regex string // URLs that match it
	files string // files whose names match it
}

func (s scope) url(h *host) (string, bool) {
	switch {
	case s.path != "":
		return s.path, true
	case s.dir == "":
		return "", s.regex == "" && s.files == ""
	}
	for i := len(h.rules) - 1; i >= 0; i-- { // Alias says where the directory is
		if r := h.rules[i]; r.d.name != "" && strings.EqualFold(r.d.name, "alias") && isIn(s.dir, r.d.arg(1)) {
			return strings.TrimSuffix(r.d.arg(0), "/") + strings.TrimPrefix(s.dir, strings.TrimSuffix(r.d.arg(1), "/")), true
		}
	}
	for mount, site := range h.sites {
		if site.Root != "" && isIn(s.dir, site.Root) {
			return mount + strings.TrimPrefix(s.dir, strings.TrimSuffix(site.Root, "/")), true
		}
	}
	if h.root != "" && isIn(s.dir, h.root) {
		return strings.TrimPrefix(s.dir, strings.TrimSuffix(h.root, "/")), true
	}
	return "", s.isAbove(h)
}

// isAbove reports a directory that the root of the host is in.
func (s scope) isAbove(h *host) bool {
	return s.dir != "" && h.root != "" && s.dir != strings.TrimSuffix(h.root, "/") && isIn(h.root, s.dir)
}

// matters reports whether a directory has files of the host, or is among them.
func (s scope) matters(h *host) bool {
	_, known := s.url(h)
	return known || s.dir == "" || strings.ContainsAny(s.dir, "*?[~") || slices.ContainsFunc(h.rules, func(r pathRule) bool {
		return strings.HasSuffix(strings.ToLower(r.d.name), "alias") && isIn(r.d.arg(1), s.dir)
	})
}

func isIn(dir, root string) bool {
	root = strings.TrimSuffix(root, "/")
	return dir == root || strings.HasPrefix(dir, root+"/")
}

// section translates the directives of a section: those that say where things are first.
func (t *apacheTranslator) section(h *host, all []*directive, in scope) {
	for _, d := range all {
		if strings.EqualFold(d.name, "DocumentRoot") {
			h.root, h.rootAt = d.arg(0), d
		}
		if strings.EqualFold(d.name, "AuthUserFile") && in == (scope{}) {
			h.users = d.arg(0) // of what requires a user
		}
	}
	t.applications(h, all, in)
	var conditions []*directive
	for _, d := range all {
		switch name := strings.ToLower(d.name); name {
		case "rewritecond":
			conditions = append(conditions, d)
		case "rewriterule":
			t.rewriteRule2(h, d, conditions, in)
			conditions = nil
		default:
			t.directive(h, d, name, in, all)
		}
	}
}

// applications finds those of a section, in the order in which Apache asks its modules: the first that has a path has it.
func (t *apacheTranslator) applications(h *host, all []*directive, in scope) {
	var located []string
	isLocated := func(url string) bool {
		return slices.ContainsFunc(located, func(path string) bool { return isIn(strings.TrimSuffix(url, "/"), path) })
	}
	for _, d := range slices.Backward(all) { // of locations, the last counts
		if c := proxyPassOf(d); c != nil && !isLocated(d.arg(0)) {
			located = append(located, d.arg(0))
			t.proxyPass(h, c, scope{path: d.arg(0)}, all)
		}
	}
	for _, d := range all {
		switch strings.ToLower(d.name) {
		case "proxypass":
			if in.path == "" && !isLocated(d.arg(0)) {
				t.proxyPass(h, d, in, all)
			}
		case "proxypassmatch":
			t.proxyPassMatch(h, d)
		}
	}
	for _, d := range all {
		switch strings.ToLower(d.name) {
		case "scriptalias":
			t.alias(h, d)
		case "wsgiscriptalias":
			t.wsgi(h, d, all)
		}
	}
	t.php(h, t.handlers(h, all, in, nil))
	for _, d := range all {
		if strings.EqualFold(d.name, "Alias") {
			t.alias(h, d)
		}
	}
}

// proxyPassOf is the ProxyPass of a location, nil if d is none, or has none.
func proxyPassOf(d *directive) *directive {
	if !strings.EqualFold(d.name, "Location") || !strings.HasPrefix(d.arg(0), "/") {
		return nil
	}
	for _, c := range slices.Backward(d.block) {
		if strings.EqualFold(c.name, "ProxyPass") {
			return c
		}
	}
	return nil
}

// handlers is what says which application has scripts of PHP, the last that counts for all of the host: SetHandler,
// and FcgidWrapper if there is none.
func (t *apacheTranslator) handlers(h *host, all []*directive, in scope, found *directive) *directive {
	isSet := func() bool { return found != nil && strings.EqualFold(found.name, "SetHandler") }
	whole := in.dir == "" || h.root == "" || isIn(h.root, in.dir)
	for _, d := range all {
		switch strings.ToLower(d.name) {
		case "filesmatch", "files":
			if matches(d.arg(len(d.args)-1), "index.php") {
				found = t.handlers(h, d.block, scope{files: "php", dir: in.dir}, found)
			}
		case "directory":
			found = t.handlers(h, d.block, scope{dir: strings.TrimSuffix(d.arg(0), "/")}, found)
		case "sethandler", "fcgidwrapper":
			isPHP := in.files == "php" && strings.HasPrefix(d.arg(0), "proxy:")
			if strings.EqualFold(d.name, "FcgidWrapper") {
				isPHP = (strings.Contains(d.arg(0), "php") || d.arg(1) == ".php") && !isSet()
			}
			switch {
			case !isPHP:
			case !whole && t.shared[d] && !isIn(in.dir, h.root):
				t.leaveUnused(d, "no host has its files in this directory alone")
			case whole || found == nil:
				found = d
			case found.String() != d.String():
				t.leave(d, "an application has all scripts of a host, and not those of a directory")
			}
		}
	}
	return found
}

// php has an application run the scripts of a host, unless another has all of it.
func (t *apacheTranslator) php(h *host, d *directive) {
	if d == nil || h.sites[""] != nil {
		return
	}
	t.used[d] = true
	if strings.EqualFold(d.name, "FcgidWrapper") {
		t.site(h, d, "", t.fcgidApplication(strings.Fields(d.arg(0))), config.PresetPHP)
	} else if app := t.proxyHandler(d); app != nil {
		t.site(h, d, "", app, config.PresetPHP)
	}
}

// matches reports whether a name matches an expression; one that Go cannot say matches nothing.
func matches(expression, name string) bool {
	re, err := regexp.Compile(expression)
	return err == nil && re.MatchString(name)
}

// proxyHandler is the application of SetHandler "proxy:unix:/run/php.sock|fcgi://localhost".
func (t *apacheTranslator) proxyHandler(d *directive) *config.NamedApplication {
	addr, ok := strings.CutPrefix(d.arg(0), "proxy:")
	if !ok {
		return nil
	}
	backend, _, ok := proxyAddress(addr)
	if !ok {
		t.leave(d, "is no address of an application that Sluice knows")
		return nil
	}
	return t.application([]string{backend}, nil)
}

// proxyAddress is a URL of mod_proxy: fcgi://host:port/path, unix:/path|fcgi://localhost/path.
func proxyAddress(text string) (backend, uri string, ok bool) {
	socket, rest, isUnix := strings.Cut(text, "|")
	if isUnix {
		text = rest
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found || !slices.Contains([]string{"fcgi", "scgi", "uwsgi", "http", "ws"}, scheme) {
		return "", "", false
	}
	scheme = strings.Replace(scheme, "ws", "http", map[bool]int{true: 1}[scheme == "ws"])
	host := rest
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host, uri = rest[:i], rest[i:]
	}
	if isUnix {
		host = socket
	}
	return backendAddress(scheme, host), uri, true
}

// fcgidApplication is one that mod_fcgid starts: each process has one request at a time, and the environment of its
// host.
func (t *apacheTranslator) fcgidApplication(command []string) *config.NamedApplication {
	app := t.applicationApart(fmt.Sprint(t.fcgidEnv), command[0], nil, command)
	t.fcgid[app.Name] = true
	app.Workers = 1
	app.Spawn.Instances = cmp.Or(t.instances, 4)
	if len(t.fcgidEnv) > 0 {
		app.Spawn.Env = t.fcgidEnv
	}
	return app
}

// proxyPassMatch translates ProxyPassMatch ^/(.*\.php(/.*)?)$ fcgi://127.0.0.1:9000/srv/www/$1.
func (t *apacheTranslator) proxyPassMatch(h *host, d *directive) {
	backend, uri, ok := proxyAddress(d.arg(1))
	if !ok || !phpExpression.MatchString(d.arg(0)) {
		t.leave(d, "applications are at paths: mount is no regular expression")
		return
	}
	if root, isRoot := strings.CutSuffix(uri, "/$1"); isRoot && root != "" {
		h.root = cmp.Or(h.root, root)
	}
	t.site(h, d, "", t.application([]string{backend}, nil), config.PresetPHP)
}

// alias translates Alias and ScriptAlias: a directory of files, of PHP, or of programs, or one program.
func (t *apacheTranslator) alias(h *host, d *directive) {
	url, target := "/"+strings.Trim(d.arg(0), "/"), strings.TrimSuffix(d.arg(1), "/")
	ending := path.Ext(target)
	switch {
	case strings.EqualFold(d.name, "ScriptAlias") && (ending == ".fcgi" || ending == ".fcg"):
		t.site(h, d, url, t.fcgidApplication([]string{target}), config.PresetApp)
	case ending == ".wsgi":
		t.leave(d, "WSGIScriptAlias says where such a program is")
	case strings.EqualFold(d.name, "ScriptAlias") || ending == ".cgi" || ending == ".pl":
		app := t.application(nil, []string{"fcgiwrap", "-f", "-c", "4"})
		site := t.site(h, d, url, app, config.PresetCGI)
		if site.Root = target; ending != "" {
			site.Root, site.Fallback = path.Dir(target), "/"+path.Base(target)+"/*"
			site.Scripts = []string{"/" + path.Base(target)}
		}
	case h.sites[""] != nil && t.presetOf(h.sites[""]) == config.PresetPHP && holdsPHP(target):
		t.site(h, d, url, t.named(h.sites[""].Uses), config.PresetPHP).Root = target
	default:
		t.staticDir(h, d, url, target)
	}
}

// directive translates a directive that says something about a section.
func (t *apacheTranslator) directive(h *host, d *directive, name string, in scope, all []*directive) {
	url, known := in.url(h)
	switch name {
	case "sethandler":
		if strings.HasPrefix(d.arg(0), "proxy:") && (in.files == "" || !matches(in.files, "index.php")) {
			t.leave(d, "of handlers, those of files in PHP are carried over: name other applications in ProxyPass")
		} else if ofFiles := strings.EqualFold(d.arg(0), "none") || strings.EqualFold(d.arg(0), "default-handler"); ofFiles && in != (scope{}) {
			t.leave(d, scriptsAreRun)
		}
	case "removehandler", "removetype":
		if slices.ContainsFunc(d.args, func(ending string) bool { return strings.HasPrefix(strings.TrimPrefix(ending, "."), "ph") }) {
			t.leave(d, scriptsAreRun)
		}
	case "documentroot", "alias", "scriptalias", "fcgidwrapper", "proxypassmatch", "proxypass", "wsgiscriptalias", "servername", "serveralias",
		"fcgidinitialenv", "defaultinitenv", "fcgidmaxprocesses", "wsgidaemonprocess":
	case "listen":
		t.listenAt(d, listenAddress(d.arg(0)))
	case "location":
		switch p := d.arg(0); {
		case p == "~":
			t.section(h, d.block, scope{regex: d.arg(1)})
		default:
			t.section(h, d.block, scope{path: p})
		}
	case "locationmatch":
		t.section(h, d.block, scope{regex: d.arg(0)})
	case "directory":
		if d.arg(0) == "~" {
			t.directories(h, d, d.arg(1))
			return
		}
		in := scope{dir: strings.TrimSuffix(d.arg(0), "/")}
		if t.shared[d] && !in.matters(h) {
			t.elsewhere(d.arg(0), d.block)
			return
		}
		t.section(h, d.block, in)
	case "directorymatch":
		t.directories(h, d, d.arg(0))
	case "files", "filesmatch":
		t.section(h, d.block, scope{files: d.arg(len(d.args) - 1)})
	case "directoryindex":
		t.index(h, d, all, url, known)
	case "fallbackresource":
		t.fallbackResource(h, d, url, known)
	case "rewriteoptions": // of what is inherited, see rewrites
		if rest := slices.DeleteFunc(slices.Clone(d.args), func(a string) bool { return strings.Contains(strings.ToLower(a), "inherit") }); len(rest) > 0 {
			t.unknown(d, name)
		}
	case "require":
		t.require(h, d, in, all)
	case "deny":
		t.deny(h, d, in, all)
	case "authuserfile":
		if in != (scope{}) {
			t.users(h, d, d.arg(0), in, all)
		}
	case "redirect", "redirectpermanent", "redirecttemp", "redirectmatch":
		t.redirect2(h, d, name)
	case "limitrequestbody":
		if n, err := strconv.ParseInt(d.arg(0), 10, 64); err == nil && n >= 0 {
			t.ofSite(h, d, url, known, "max_body", func(s *config.HostedSite) { s.MaxBody = n })
		}
	case "fcgidmaxrequestlen":
		if n, err := strconv.ParseInt(d.arg(0), 10, 64); err == nil && n > 0 {
			t.everyFcgid(h, d, func(s *config.HostedSite) { s.MaxBody = n })
		}
	case "timeout", "proxytimeout", "fcgidiotimeout":
		if wait, ok := seconds(d.arg(0)); ok {
			t.timeout(h, d, name, wait)
		}
	case "fcgidmaxrequestsperprocess":
		if n, err := strconv.Atoi(d.arg(0)); err == nil && n > 0 {
			t.everyFcgid(h, d, func(s *config.HostedSite) { t.named(s.Uses).Spawn.MaxRequests = n })
		}
	case "setenv":
		if !strings.HasPrefix(d.arg(0), "proxy-") {
			t.environment(h, d, url, func(s *config.HostedSite) { setEnv(s, d.arg(0), d.arg(1)) })
		}
	case "unsetenv":
		t.environment(h, d, url, func(s *config.HostedSite) {
			for _, name := range d.args {
				delete(s.Env, name)
			}
		})
	case "proxyfcgisetenvif":
	case "remoteiptrustedproxy", "remoteipinternalproxy":
		h.everywhere(d, func(s *config.HostedSite) {
			for _, p := range d.args {
				add(&s.TrustedProxies, p)
			}
		})
	case "remoteipheader":
	case "allowoverride":
		if !strings.EqualFold(d.arg(0), "none") {
			t.leave(d, "Sluice reads no .htaccess: what these files have is to be written in sluice.toml")
		}
	default:
		if !t.ofTLS(h, d, name) {
			t.unknown(d, name)
		}
	}
}

// directories translates a section for the directories that an expression matches: from its beginning, or a name
// anywhere in it.
func (t *apacheTranslator) directories(h *host, d *directive, expression string) {
	below, begins := strings.CutPrefix(expression, "^")
	if !begins {
		t.section(h, d.block, scope{regex: expression})
		return
	}
	root := strings.TrimSuffix(h.root, "/")
	for _, prefix := range []string{root, regexp.QuoteMeta(root)} {
		if url, isBelow := strings.CutPrefix(below, prefix); root != "" && isBelow {
			t.used[d] = true
			t.section(h, d.block, scope{regex: "^" + url})
			return
		}
	}
	t.leaveUnused(d, "an expression for directories that does not begin with the root of a host")
}

func (t *apacheTranslator) unknown(d *directive, name string) {
	switch {
	case apacheNeedless[name]:
	case name == "php_value" || name == "php_flag" || name == "php_admin_value" || name == "php_admin_flag":
		t.leave(d, "PHP has its settings in php.ini, or in the pool of PHP-FPM")
	case d.open:
		t.leave(&directive{path: d.path, at: d.at, name: "<" + d.String() + ">"}, "Sluice has no such sections")
	default:
		t.leave(d, "nothing in Sluice stands for it, or it is not known to this conversion")
	}
}
