package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// lighttpdNeedless are settings that need nothing in Sluice.
var lighttpdNeedless = wordSet(`server.modules server.upload-dirs server.errorlog server.pid-file server.username server.groupname server.name server.tag
	server.feature-flags server.http-parseopts server.max-fds server.max-connections server.max-worker server.max-keep-alive-idle
	server.max-keep-alive-requests server.max-read-idle server.network-backend server.stat-cache-engine server.stream-request-body
	server.stream-response-body server.event-handler server.errorfile-prefix server.follow-symlink server.breakagelog server.chroot
	server.range-requests server.reject-expect-100-with-417 static-file.exclude-extensions static-file.etags etag.use-inode etag.use-mtime
	etag.use-size mimetype.assign mimetype.use-xattr mimetype.xattr-name dir-listing.activate dir-listing.encoding compress.cache-dir
	compress.filetype deflate.cache-dir deflate.mimetypes deflate.max-compress-size deflate.compression-level accesslog.filename accesslog.format
	auth.debug fastcgi.debug scgi.debug proxy.debug debug.log-request-handling fastcgi.map-extensions index-file.names`)

type lighttpdTranslator struct {
	*builder
	balanced bool         // extforward.forwarder names load balancers with the PROXY protocol
	plain    bool         // what is translated is for clients without TLS
	global   []*directive // what is said for all hosts
}

func translateLighttpd(b *builder, all []*directive) {
	balanced := enabled(all, "extforward.hap-PROXY")
	t := lighttpdTranslator{builder: b, balanced: balanced != nil, global: lighttpdGlobal(all)}
	port, bind := "80", ""
	b.main = b.host(&directive{}, nil)
	for _, d := range all {
		switch d.name {
		case "server.port":
			port = d.value.text
		case "server.bind":
			bind = d.value.text
		}
	}
	addr := "unix:" + bind
	if !strings.HasPrefix(bind, "/") {
		addr = listenAddress(strings.TrimPrefix(bind, "*") + ":" + port)
	}
	t.sockets(all, addr)
	t.settings(b.main, all, "")
	t.secureHosts()
	if balanced != nil && len(b.config.Server.ProxyProtocol) == 0 {
		b.leave(balanced, "name the load balancers in proxy_protocol: no extforward.forwarder says which may tell clients' addresses")
	}
}

// settings translates the settings of a host, or of paths of it that an expression matches.
func (t lighttpdTranslator) settings(h *host, all []*directive, expression string) {
	code := "301"
	for _, d := range all {
		if d.name == "url.redirect-code" {
			code = d.value.text
		}
	}
	for _, d := range all {
		switch d.name {
		case "server.port", "server.bind", "url.redirect-code":
		case "server.document-root":
			h.root, h.rootAt = d.value.text, d
		case "index-file.names":
			h.index = nil
			for _, p := range d.value.list {
				h.index = append(h.index, p.text)
			}
		case "fastcgi.server", "scgi.server", "proxy.server":
			t.applications(h, d)
		case "alias.url":
			for _, p := range d.value.list {
				t.staticDir(h, d, p.key, p.text)
			}
		case "url.access-deny":
			t.denied(h, d, expression)
		case "url.rewrite-once", "url.rewrite", "url.rewrite-repeat", "url.rewrite-if-not-file", "url.rewrite-repeat-if-not-file":
			for _, p := range d.value.list {
				from, to := lighttpdPath(p.key), strings.ReplaceAll(p.text, "${qsa}", "")
				if to == "$0" {
					t.leave(d, fmt.Sprintf("%q stays as it is before the other rules: Sluice has no such exception", p.key))
					continue
				}
				if strings.Contains(d.name, "if-not-file") {
					t.missing(h, d, from, to, '$')
				} else {
					t.rewriteRule(h, d, from, to, '$', "")
				}
			}
		case "url.redirect":
			for _, p := range d.value.list {
				if !t.securing(h, d, p.key, p.text, code) {
					t.rewriteRule(h, d, lighttpdPath(p.key), strings.ReplaceAll(p.text, "${qsa}", ""), '$', code)
				}
			}
		case "auth.backend":
			if d.value.text != "htpasswd" {
				t.leave(d, "Sluice reads htpasswd files")
			}
		case "auth.backend.htpasswd.userfile":
			h.users = d.value.text
		case "auth.require":
			t.login(h, d)
		case "setenv.add-environment", "setenv.set-environment":
			for _, p := range d.value.list {
				h.everywhere(d, func(s *config.HostedSite) { setEnv(s, p.key, p.text) })
			}
		case "server.max-request-size":
			if kilobytes, err := strconv.ParseInt(d.value.text, 10, 64); err == nil && kilobytes > 0 {
				h.everywhere(d, func(s *config.HostedSite) { s.MaxBody = kilobytes << 10 })
			}
		case "extforward.forwarder":
			for _, p := range d.value.list {
				if t.balanced {
					t.proxiedBy(d, p.key)
				} else {
					h.everywhere(d, func(s *config.HostedSite) { add(&s.TrustedProxies, p.key) })
				}
			}
		case "expire.url":
			t.expire(h, d)
		default:
			t.setting(h, d, expression)
		}
	}
}

// setting translates a condition, or leaves what is not known.
func (t lighttpdTranslator) setting(h *host, d *directive, expression string) {
	switch {
	case lighttpdNeedless[d.name], strings.HasPrefix(d.name, "var."), d.value != nil && !strings.Contains(d.name, "."):
	case t.ofTLS(h, d):
	case d.name == `$HTTP["scheme"]` && d.arg(0) == "==" && d.arg(1) == "http":
		t.plain = true
		t.settings(h, d.block, expression)
	case d.name == `$HTTP["host"]` && t.plain && (d.arg(1) == ".*" || d.arg(1) == "(.*)"):
		t.settings(h, d.block, expression)
	case d.name == `$HTTP["host"]`:
		if names, ok := lighttpdHosts(d); ok {
			t.ofHost(t.host(d, names), d.block)
		} else {
			t.leave(d, "hosts are names, of which only *.example.org stands for others")
		}
	case d.name == `$HTTP["url"]` && expression == "":
		switch d.arg(0) {
		case "=~":
			t.settings(h, d.block, d.arg(1))
		case "=^":
			t.settings(h, d.block, "^"+d.arg(1))
		case "==":
			t.settings(h, d.block, "^"+d.arg(1)+"$")
		default:
			t.leave(d, "Sluice has no such condition")
		}
	case d.name == `$SERVER["socket"]` && d.arg(0) == "==":
		t.plain = !lighttpdTLS(d.block)
		t.settings(h, d.block, expression)
	case d.open:
		t.leave(d, "Sluice has no conditions but of hosts and paths")
	default:
		t.leave(&directive{path: d.path, at: d.at, name: d.name}, "nothing in Sluice stands for it, or it is not known to this conversion")
	}
}

// lighttpdGlobal is what hosts take over: assignments, and conditions of paths. Addresses and TLS are the server's.
func lighttpdGlobal(all []*directive) (global []*directive) {
	for _, d := range all {
		ofServer := d.name == "server.port" || d.name == "server.bind" || strings.HasPrefix(d.name, "ssl.") || strings.HasSuffix(d.name, "-response-header")
		if d.value != nil && !ofServer || d.name == `$HTTP["url"]` {
			global = append(global, d)
		}
	}
	return global
}

// ofHost translates the block of a host. An assignment there takes the place of the one for all hosts, as a
// whole; one with += adds to it.
func (t lighttpdTranslator) ofHost(h *host, block []*directive) {
	var inherited []*directive
	for _, d := range t.global {
		replaced := slices.ContainsFunc(block, func(own *directive) bool { return own.name == d.name && own.value != nil && !own.adds })
		if !h.whole && !replaced {
			inherited = append(inherited, d)
		}
	}
	h.whole = true
	t.settings(h, slices.Concat(inherited, block), "")
}

// lighttpdHosts are the names that a condition of the host is for.
func lighttpdHosts(d *directive) (names []string, ok bool) {
	if d.arg(0) == "==" {
		return []string{d.arg(1)}, true
	}
	if d.arg(0) != "=~" {
		return nil, false
	}
	all, err := globs(d.arg(1))
	if err != nil {
		return nil, false
	}
	for _, g := range all {
		switch name := strings.TrimPrefix(g.text, "*."); {
		case strings.Contains(name, "*") || !g.ends:
			return nil, false
		case name == g.text && !g.begins && strings.HasPrefix(name, "."):
			names = append(names, "*"+name)
		case name == g.text && !g.begins:
			names = append(names, name, "*."+name)
		default:
			names = append(names, g.text)
		}
	}
	return names, true
}

// lighttpdPath is an expression for the path alone: lighttpd compares the query, too.
func lighttpdPath(expression string) string {
	for _, query := range []string{`(?:\?(.*))?$`, `(\?.*)?$`, `(?:\?.*)?$`, `[^?]*(?:\?(.*))?$`} {
		if before, ok := strings.CutSuffix(expression, query); ok {
			return before + "$"
		}
	}
	return strings.ReplaceAll(expression, `[^?]`, ".")
}

func (t lighttpdTranslator) denied(h *host, d *directive, expression string) {
	for _, p := range d.value.list {
		switch {
		case p.text == "" && expression != "":
			t.hide(h, d, expression)
		case p.text == "~" || p.text == ".inc" || strings.HasPrefix(p.text, ".ht") || p.text == ".bak": // never sent anyway
		default:
			t.leave(d, fmt.Sprintf("%q: hide has paths, not endings of names", p.text))
		}
	}
}

// login translates auth.require.
func (t lighttpdTranslator) login(h *host, d *directive) {
	for _, p := range d.value.list {
		if method, _ := p.get("method"); method.text != "basic" && method.text != "" {
			t.leave(d, "method "+method.text+": Sluice has basic")
			continue
		}
		if who, _ := p.get("require"); who.text != "" && who.text != "valid-user" {
			t.leave(d, "require "+who.text+": Sluice lets all users of the file in")
		}
		realm, _ := p.get("realm")
		h.at(p.key, d, func(s *config.HostedSite) {
			s.Auth.Realm = realm.text
			login(s, cmp.Or(h.users, t.main.users), p.key)
		})
	}
}

func (t lighttpdTranslator) expire(h *host, d *directive) {
	for _, p := range d.value.list {
		words := strings.Fields(strings.TrimPrefix(strings.TrimPrefix(p.text, "access "), "plus "))
		age, ok := "", false
		if len(words) == 2 {
			age, ok = ageOf(words[0] + map[string]string{"seconds": "s", "minutes": "m", "hours": "h", "days": "d", "weeks": "w", "months": "M", "years": "y"}[strings.TrimSuffix(words[1], "s")+"s"])
		}
		if !ok {
			t.leave(d, "is no time that static_cache can say")
			continue
		}
		h.at(p.key, d, func(s *config.HostedSite) {
			add(&s.StaticCache, strings.TrimSuffix(p.key, "/")+"/* max-age="+age)
		})
	}
}

// applications translates fastcgi.server and the like.
func (t lighttpdTranslator) applications(h *host, d *directive) {
	protocol := map[string]config.Protocol{"fastcgi.server": config.FastCGI, "scgi.server": config.SCGI, "proxy.server": config.HTTP}[d.name]
	for _, p := range d.value.list {
		app := t.applicationOf(d, p.value, protocol)
		switch {
		case app == nil:
		case strings.HasSuffix(p.key, ".php"):
			t.site(h, d, "", app, config.PresetPHP)
			if strings.HasPrefix(p.key, "/") {
				h.at("/", d, func(s *config.HostedSite) { add(&s.Scripts, p.key) })
			}
		case p.key == "" || strings.HasPrefix(p.key, "/"):
			t.site(h, d, strings.TrimSuffix(p.key, "/"), app, config.PresetApp)
		default:
			t.site(h, d, "", app, config.PresetCGI)
			h.at("/", d, func(s *config.HostedSite) { add(&s.Scripts, "*"+p.key) })
		}
	}
}

// applicationOf is the application of a list of hosts with the same key.
func (t lighttpdTranslator) applicationOf(d *directive, v value, protocol config.Protocol) *config.NamedApplication {
	var backends []string
	scheme := map[config.Protocol]string{config.FastCGI: "fcgi", config.SCGI: "scgi", config.HTTP: "http"}[protocol]
	for _, server := range v.list {
		text := func(key string) string { v, _ := server.get(key); return v.text }
		if mode := text("mode"); mode == "authorizer" {
			t.leave(d, "an authorizer: see authorizer.address")
			return nil
		}
		for _, known := range server.list {
			if !slices.Contains(strings.Fields("bin-path bin-environment bin-copy-environment max-procs min-procs socket host port check-local broken-scriptfilename allow-x-send-file fix-root-scriptname kill-signal idle-timeout max-load-per-proc disable-time mode strip-request-uri x-sendfile x-sendfile-docroot listen-backlog"), known.key) {
				t.leave(d, fmt.Sprintf("%q in it is not carried over", known.key))
			}
		}
		if command := text("bin-path"); command != "" {
			return t.spawned(d, server.value, strings.Fields(command), protocol)
		}
		switch {
		case text("socket") != "":
			backends = append(backends, backendAddress(scheme, "unix:"+text("socket")))
		case strings.HasPrefix(text("host"), "/"):
			backends = append(backends, backendAddress(scheme, "unix:"+text("host")))
		default:
			host, port := text("host"), text("port")
			if host == "" {
				host = "127.0.0.1"
			}
			if port == "" {
				port = "80"
			}
			backends = append(backends, backendAddress(scheme, host+":"+port))
		}
	}
	if len(backends) == 0 {
		t.leave(d, "there is no address in it")
		return nil
	}
	return t.application(backends, nil)
}

// spawned is an application that lighttpd starts.
func (t lighttpdTranslator) spawned(d *directive, server value, command []string, protocol config.Protocol) *config.NamedApplication {
	app := t.application(nil, command)
	if protocol != config.FastCGI {
		app.Protocol = protocol
	}
	environment, _ := server.get("bin-environment")
	for _, p := range environment.list {
		if app.Spawn.Env == nil {
			app.Spawn.Env = make(map[string]string)
		}
		app.Spawn.Env[p.key] = p.text
	}
	copied, _ := server.get("bin-copy-environment")
	for _, p := range copied.list {
		if !slices.Contains(strings.Fields("PATH SHELL USER"), p.text) {
			add(&app.Spawn.EnvCopy, p.text)
		}
	}
	procs := 1
	if v, ok := server.get("max-procs"); ok {
		procs, _ = strconv.Atoi(v.text)
	}
	// php-cgi has children, each of which serves a request; without them it is one worker.
	if strings.Contains(command[0], "php") {
		children, err := strconv.Atoi(app.Spawn.Env["PHP_FCGI_CHILDREN"])
		if err != nil || children < 1 {
			children = 1
		}
		delete(app.Spawn.Env, "PHP_FCGI_CHILDREN") // made of workers
		app.Workers, procs = children*max(procs, 1), 1
	}
	if procs > 1 {
		app.Spawn.Instances = procs
	}
	return app
}
