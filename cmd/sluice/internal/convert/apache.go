package convert

import (
	"cmp"
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
	wsgipassauthorization wsgiscriptreloading addhandler scriptsock satisfy deny allow dav removehandler removetype readmename headername defaulticon`)

type apacheTranslator struct {
	*builder
	fcgidEnv  map[string]string
	instances int                   // of applications of mod_fcgid
	daemons   map[string]*directive // of WSGIDaemonProcess
	ports     map[string]bool       // with TLS
	secure    bool                  // the virtual host that is translated is for TLS
}

func translateApache(b *builder, all []*directive) {
	t := &apacheTranslator{builder: b, fcgidEnv: map[string]string{}, daemons: map[string]*directive{}, ports: apachePorts(all)}
	t.globals(all)
	b.main = b.host(&directive{}, nil)
	t.section(b.main, all, scope{})
	b.main.tls.plain, b.main.tls.secure = len(b.config.Server.Listen) > len(b.secureListen()), len(b.secureListen()) > 0
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
	return "", false
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
	}
	aliases := t.handlers(h, all, in)
	for _, d := range aliases {
		t.alias(h, d)
	}
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

// handlers finds the applications of a section, so that aliases know of them, and returns the aliases.
func (t *apacheTranslator) handlers(h *host, all []*directive, in scope) (aliases []*directive) {
	for _, d := range all {
		switch strings.ToLower(d.name) {
		case "filesmatch", "files":
			if matches(d.arg(len(d.args)-1), "index.php") {
				t.handlers(h, d.block, scope{files: "php"})
			}
		case "directory":
			t.handlers(h, d.block, scope{dir: strings.TrimSuffix(d.arg(0), "/")})
		case "sethandler":
			if app := t.proxyHandler(d); app != nil && in.files == "php" {
				h.root = cmp.Or(h.root, in.dir)
				t.site(h, d, "", app, config.PresetPHP)
			}
		case "fcgidwrapper":
			if strings.Contains(d.arg(0), "php") || d.arg(1) == ".php" {
				t.site(h, d, "", t.fcgid(strings.Fields(d.arg(0))), config.PresetPHP)
			}
		case "proxypassmatch":
			t.proxyPassMatch(h, d)
		case "alias", "scriptalias":
			aliases = append(aliases, d)
		}
	}
	return aliases
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

// fcgid is an application that mod_fcgid starts: each process has one request at a time.
func (t *apacheTranslator) fcgid(command []string) *config.NamedApplication {
	app := t.application(nil, command)
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
		t.site(h, d, url, t.fcgid([]string{target}), config.PresetApp)
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
	case "documentroot", "alias", "scriptalias", "sethandler", "fcgidwrapper", "proxypassmatch", "servername", "serveralias",
		"fcgidinitialenv", "defaultinitenv", "fcgidmaxprocesses", "wsgidaemonprocess":
	case "listen":
		t.listenAt(d, listenAddress(d.arg(0)))
	case "virtualhost":
		t.virtualHost(d)
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
		t.section(h, d.block, scope{dir: strings.TrimSuffix(d.arg(0), "/")})
	case "directorymatch":
		t.section(h, d.block, scope{regex: d.arg(0)})
	case "files", "filesmatch":
		t.section(h, d.block, scope{files: d.arg(len(d.args) - 1)})
	case "proxypass":
		t.proxyPass(h, d, in)
	case "wsgiscriptalias":
		t.wsgi(h, d, all)
	case "directoryindex":
		h.index = d.args
	case "fallbackresource":
		if d.arg(0) != "disabled" {
			t.fallback(h, d, d.arg(0), true)
		}
	case "require", "denyfromall":
		t.require(h, d, in)
	case "authuserfile":
		switch {
		case !known:
			t.leave(d, "auth.paths has paths, not expressions")
		default:
			realm := ""
			for _, c := range all {
				if strings.EqualFold(c.name, "AuthName") {
					realm = c.arg(0)
				}
			}
			h.at(url, d, func(s *config.HostedSite) {
				s.Auth.Realm = realm
				login(s, d.arg(0), url)
			})
		}
	case "redirect", "redirectpermanent", "redirecttemp", "redirectmatch":
		t.redirect2(h, d, name)
	case "limitrequestbody", "fcgidmaxrequestlen":
		if n, err := strconv.ParseInt(d.arg(0), 10, 64); err == nil && n > 0 {
			h.everywhere(d, func(s *config.HostedSite) { s.MaxBody = n })
		}
	case "timeout", "proxytimeout", "fcgidiotimeout":
		if wait, ok := seconds(d.arg(0)); ok {
			h.everywhere(d, func(s *config.HostedSite) { s.Timeouts.FirstByte, s.Timeouts.BetweenBytes = wait, wait })
		}
	case "fcgidmaxrequestsperprocess":
		if n, err := strconv.Atoi(d.arg(0)); err == nil && n > 0 {
			for _, a := range t.config.Applications {
				if a.Spawn != nil {
					a.Spawn.MaxRequests = n
				}
			}
		}
	case "setenv", "proxyfcgisetenvif":
		if name == "setenv" && !strings.HasPrefix(d.arg(0), "proxy-") {
			h.at(url, d, func(s *config.HostedSite) { setEnv(s, d.arg(0), d.arg(1)) })
		}
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

// virtualHost translates a virtual host.
func (t *apacheTranslator) virtualHost(d *directive) {
	var names []string
	for _, c := range d.block {
		switch strings.ToLower(c.name) {
		case "servername":
			name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(c.arg(0), "http://"), "https://"), ":")
			names = append(names, name)
		case "serveralias":
			for _, name := range c.args {
				if strings.Contains(strings.TrimPrefix(name, "*."), "*") || strings.Contains(name, "?") {
					t.leave(c, name+": a pattern of host names may only begin with *.")
					continue
				}
				names = append(names, name)
			}
		}
	}
	h := t.host(d, names)
	was := t.secure
	t.secure = t.addresses(h, d)
	t.section(h, d.block, scope{})
	t.secure = was
}
