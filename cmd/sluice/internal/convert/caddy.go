package convert

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// caddyNeedless are directives that need nothing in Sluice.
var caddyNeedless = wordSet(`log log_append log_skip skip_log log_name encode_types push tracing metrics bind index`)

type caddyTranslator struct {
	*builder
	matchers map[string][]string // paths of @name
	secure   bool                // the site that is translated is for clients with TLS alone
}

func translateCaddy(b *builder, all []*directive) {
	for _, d := range all {
		switch {
		case d.name == "": // the global options
			for _, c := range d.block {
				if b.acmeOption(c) {
					continue
				}
				if !slices.Contains(strings.Fields("admin order storage grace_period debug log persist_config metrics"), c.name) {
					b.leave(c, "a global option of Caddy")
				}
			}
		case !d.open:
			b.leave(d, "want a site, with a block in braces")
		default:
			t := caddyTranslator{builder: b, matchers: map[string][]string{}}
			t.site0(d)
		}
	}
	b.askTerms()
}

// site0 translates a site: its addresses, and what is in its block.
func (t *caddyTranslator) site0(d *directive) {
	var names []string
	var addresses []caddyAddress
	for _, address := range append([]string{d.name}, d.args...) {
		address = strings.TrimSuffix(address, ",")
		if address == "" {
			continue
		}
		scheme, rest, ok := strings.Cut(address, "://")
		if !ok {
			scheme, rest = "", address
		}
		rest, path, _ := strings.Cut(rest, "/")
		if path != "" {
			t.leave(d, "a site is for hosts, not for paths")
		}
		name, port := rest, ""
		if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
			name, port = rest[:i], rest[i+1:]
		}
		addresses = append(addresses, caddyAddress{scheme, name, port})
		if name != "" {
			names = append(names, name)
		}
	}
	h := t.host(d, names)
	t.connections(h, d, addresses)
	t.block(h, d.block, "")
}

// block translates the directives of a site, or of paths of it.
func (t *caddyTranslator) block(h *host, all []*directive, within string) {
	for _, d := range all {
		if name, ok := strings.CutPrefix(d.name, "@"); ok {
			t.matcher(d, name)
		}
		if d.name == "root" {
			h.root = cmp.Or(h.root, d.arg(len(d.args)-1))
		}
	}
	for _, d := range all {
		t.directive(h, d, within)
	}
}

// matcher remembers the paths of a named matcher.
func (t *caddyTranslator) matcher(d *directive, name string) {
	lines := d.block
	if len(d.args) > 0 {
		lines = []*directive{{path: d.path, at: d.at, name: d.arg(0), args: d.args[1:]}}
	}
	for _, c := range lines {
		if c.name != "path" {
			t.leave(c, "only paths are told apart")
			return
		}
		t.matchers[name] = append(t.matchers[name], c.args...)
	}
}

// paths are those that a directive is for, and its other arguments. ok is false if they cannot be said.
func (t *caddyTranslator) paths(d *directive, within string) (paths, args []string, ok bool) {
	first := d.arg(0)
	switch name, isName := strings.CutPrefix(first, "@"); {
	case isName:
		paths, known := t.matchers[name]
		return paths, d.args[1:], known
	case strings.HasPrefix(first, "/"):
		return []string{first}, d.args[1:], true
	case first == "*":
		return []string{cmp.Or(within, "/*")}, d.args[1:], true
	}
	return []string{cmp.Or(within, "/*")}, d.args, true
}

// mountOf is the path of a pattern such as /wiki/*, "" of all paths.
func mountOf(pattern string) (mount string, ok bool) {
	mount = strings.TrimSuffix(strings.TrimSuffix(pattern, "*"), "/")
	return mount, !strings.Contains(mount, "*") && (mount == "" || strings.HasPrefix(mount, "/"))
}

func (t *caddyTranslator) directive(h *host, d *directive, within string) {
	if strings.HasPrefix(d.name, "@") || d.name == "root" || caddyNeedless[d.name] {
		return
	}
	paths, args, ok := t.paths(d, within)
	if !ok {
		t.leave(d, "its matcher cannot be said in Sluice")
		return
	}
	if d.name == "file_server" {
		for _, c := range d.block {
			if c.name == "hide" || c.name == "root" {
				t.leave(c, "Sluice sends files of the usual types, but for names that begin with a dot: see static and hide")
			}
		}
		return
	}
	for _, pattern := range paths {
		t.forPath(h, d, pattern, args)
	}
}

// forPath translates a directive for one of its paths.
func (t *caddyTranslator) forPath(h *host, d *directive, pattern string, args []string) {
	mount, isMount := mountOf(pattern)
	switch d.name {
	case "handle", "route", "handle_path":
		if !isMount {
			t.leave(d, "an application is at a path with all that is below it")
			return
		}
		if d.name == "handle_path" && mount != "" {
			t.leave(d, "the path is not cut off: the application gets it as the client sends it")
		}
		t.block(h, d.block, pattern)
	case "php_fastcgi":
		t.phpFastCGI(h, d, args)
	case "reverse_proxy":
		if !isMount {
			t.leave(d, "an application is at a path with all that is below it")
			return
		}
		t.reverseProxy(h, d, mount, args)
	case "redir":
		t.redir(h, d, pattern, args)
	case "rewrite":
		if len(args) == 1 {
			to, _ := strings.CutSuffix(args[0], "?{query}")
			rule := pattern + " " + to
			if strings.Contains(to, "{") {
				t.leave(d, "the target of a rewrite has no variables")
				return
			}
			h.at(mount, d, func(s *config.HostedSite) { add(&s.Rewrite, rule) })
		}
	case "try_files":
		last := (&directive{args: args}).arg(len(args) - 1)
		if to, _, _ := strings.Cut(last, "?{query}"); !strings.Contains(to, "{") && !strings.HasPrefix(to, "=") {
			t.fallback(h, d, "/"+strings.TrimPrefix(to, "/"), mount == "")
		}
	case "respond", "error":
		if len(args) > 0 && (args[len(args)-1] == "404" || args[len(args)-1] == "403") && isMount && mount != "" {
			t.hidePath(h, d, mount)
		} else {
			t.leave(d, "Sluice sends no answers of its own but redirects")
		}
	case "encode":
		h.everywhere(d, func(s *config.HostedSite) { s.Compression.Scope = config.CompressPublic })
	case "request_body":
		if c := d.child("max_size"); c != nil {
			if n, ok := bytesOf(c.arg(0)); ok {
				h.everywhere(d, func(s *config.HostedSite) { s.MaxBody = n })
			}
		}
	case "basic_auth", "basicauth":
		t.leave(d, "write the names and passwords to a file of htpasswd -B, and name it in auth.file, and "+cmp.Or(mount, "/")+" in auth.paths")
	case "tls": // connections has translated it
	case "header":
		t.header(h, d, args)
	default:
		t.leave(&directive{path: d.path, at: d.at, name: d.name}, "nothing in Sluice stands for it, or it is not known to this conversion")
	}
}

// caddyAddresses are the addresses of an application in the way of a setting.
func (t *caddyTranslator) caddyAddresses(d *directive, protocol string, args []string) (backends []string) {
	for _, c := range d.block {
		if c.name == "to" {
			args = append(args, c.args...)
		}
	}
	for _, addr := range args {
		scheme, rest, ok := strings.Cut(addr, "://")
		if !ok {
			rest = addr
		}
		if scheme == "https" {
			t.leave(d, "Sluice speaks no TLS to applications")
			continue
		}
		if path, unix := strings.CutPrefix(rest, "unix/"); unix {
			rest = "unix:" + path
		}
		if strings.HasPrefix(rest, ":") {
			rest = "127.0.0.1" + rest
		}
		backends = append(backends, backendAddress(protocol, rest))
	}
	return backends
}

func (t *caddyTranslator) phpFastCGI(h *host, d *directive, args []string) {
	backends := t.caddyAddresses(d, "fcgi", args)
	if len(backends) == 0 {
		t.leave(d, "there is no address in it")
		return
	}
	t.site(h, d, "", t.application(backends, nil), config.PresetPHP)
	fallback := "/index.php"
	for _, c := range d.block {
		switch c.name {
		case "root":
			h.root = c.arg(0)
		case "index":
			h.index = c.args
			if c.arg(0) == "off" {
				h.index, fallback = nil, ""
			}
		case "try_files":
			if last := c.arg(len(c.args) - 1); strings.HasPrefix(last, "=") {
				fallback = ""
			} else {
				fallback = "/" + strings.TrimPrefix(last, "/")
			}
		case "env":
			if strings.Contains(c.arg(1), "{") {
				t.leave(c, "env has constant values")
			} else {
				h.everywhere(c, func(s *config.HostedSite) { setEnv(s, c.arg(0), c.arg(1)) })
			}
		case "split", "to", "resolve_root_symlink", "capture_stderr", "dial_timeout":
		default:
			t.proxyOption(h, c, "")
		}
	}
	if fallback != "" {
		t.fallback(h, d, fallback, true)
	}
}

func (t *caddyTranslator) reverseProxy(h *host, d *directive, mount string, args []string) {
	protocol := "http"
	transport := d.child("transport")
	if transport != nil && (transport.arg(0) == "fastcgi" || transport.arg(0) == "sluice") {
		protocol = "fcgi"
	}
	backends := t.caddyAddresses(d, protocol, args)
	if len(backends) == 0 {
		t.leave(d, "there is no address in it")
		return
	}
	preset := config.PresetApp
	if transport != nil && transport.child("split") != nil && transport.child("split").arg(0) == ".php" {
		preset = config.PresetPHP
	}
	t.site(h, d, mount, t.application(backends, nil), preset)
	for _, c := range d.block {
		switch c.name {
		case "to", "lb_policy", "lb_try_duration", "flush_interval", "health_uri", "health_interval", "health_timeout", "health_port":
		case "transport":
			for _, o := range c.block {
				if o.name == "root" {
					h.root = cmp.Or(h.root, o.arg(0))
				} else if o.name == "env" && !strings.Contains(o.arg(1), "{") {
					h.at(mount, o, func(s *config.HostedSite) { setEnv(s, o.arg(0), o.arg(1)) })
				} else {
					t.proxyOption(h, o, mount)
				}
			}
		default:
			t.proxyOption(h, c, mount)
		}
	}
}

// proxyOption translates an option of reverse_proxy or of a transport.
func (t *caddyTranslator) proxyOption(h *host, c *directive, mount string) {
	switch c.name {
	case "read_timeout", "response_header_timeout":
		if wait, ok := seconds(c.arg(0)); ok {
			h.at(mount, c, func(s *config.HostedSite) { s.Timeouts.FirstByte, s.Timeouts.BetweenBytes = wait, wait })
		}
	case "trusted_proxies":
		h.everywhere(c, func(s *config.HostedSite) {
			for _, p := range c.args {
				if p != "private_ranges" {
					add(&s.TrustedProxies, p)
				}
			}
		})
	case "header_up":
		if !slices.Contains([]string{"Host", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"}, c.arg(0)) {
			t.leave(c, "Sluice sets no further fields")
		}
	case "split", "dial_timeout", "write_timeout", "keepalive", "keepalive_idle_conns", "capture_stderr", "resolve_root_symlink":
	default:
		t.leave(c, "nothing in Sluice stands for it, or it is not known to this conversion")
	}
}

func (t *caddyTranslator) redir(h *host, d *directive, pattern string, args []string) {
	if len(args) == 0 {
		t.leave(d, "there is no target")
		return
	}
	status := "302"
	if len(args) > 1 {
		status = cmp.Or(map[string]string{"permanent": "301", "temporary": "302", "html": "302"}[args[1]], args[1])
	}
	to, keepsPath := strings.CutSuffix(args[0], "{uri}")
	t.redirect(h, d, []string{pattern}, to, keepsPath, status, t.secure)
}
