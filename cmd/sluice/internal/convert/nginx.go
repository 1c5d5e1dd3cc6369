package convert

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// nginxNeedless are directives that need nothing in Sluice: it does so by itself, it has no such thing, or
// they are about nginx alone.
var nginxNeedless = wordSet(`access_log accept_mutex aio break charset charset_types client_body_buffer_size client_body_temp_path
	client_body_timeout client_header_buffer_size client_header_timeout connection_pool_size daemon default_type
	directio error_log etag events fastcgi_buffer_size fastcgi_buffering fastcgi_buffers fastcgi_busy_buffers_size fastcgi_connect_timeout
	fastcgi_ignore_client_abort fastcgi_index fastcgi_intercept_errors fastcgi_keep_conn fastcgi_max_temp_file_size fastcgi_next_upstream
	fastcgi_pass_header fastcgi_send_timeout fastcgi_socket_keepalive fastcgi_split_path_info fastcgi_temp_path
	keepalive keepalive_disable keepalive_requests keepalive_timeout keepalive_time large_client_header_buffers lingering_close lingering_time lingering_timeout
	load_module lock_file log_format log_not_found log_subrequest master_process max_ranges merge_slashes msie_padding open_file_cache
	open_file_cache_errors open_file_cache_min_uses open_file_cache_valid open_log_file_cache output_buffers pcre_jit pid port_in_redirect
	postpone_output proxy_buffer_size proxy_buffering proxy_buffers proxy_busy_buffers_size proxy_connect_timeout proxy_headers_hash_bucket_size
	proxy_headers_hash_max_size proxy_http_version proxy_max_temp_file_size proxy_pass_header proxy_redirect proxy_send_timeout
	proxy_socket_keepalive proxy_temp_path random_index read_ahead recursive_error_pages request_pool_size reset_timedout_connection resolver
	scgi_buffering scgi_buffers send_timeout sendfile sendfile_max_chunk server_name_in_redirect server_names_hash_bucket_size
	server_names_hash_max_size server_tokens tcp_nodelay tcp_nopush timer_resolution types types_hash_bucket_size types_hash_max_size underscores_in_headers
	user uwsgi_buffer_size uwsgi_buffering uwsgi_buffers uwsgi_connect_timeout uwsgi_send_timeout variables_hash_bucket_size
	variables_hash_max_size worker_aio_requests worker_connections worker_cpu_affinity worker_priority worker_processes worker_rlimit_nofile
	worker_shutdown_timeout gzip_comp_level gzip_disable gzip_http_version gzip_proxied gzip_vary gzip_buffers gzip_types gzip_min_length
	disable_symlinks satisfy set ssl ssl_buffer_size ssl_dhparam ssl_prefer_server_ciphers ssl_session_cache ssl_session_ticket_key
	ssl_session_tickets ssl_session_timeout`)

func wordSet(text string) map[string]bool {
	set := make(map[string]bool)
	for word := range strings.FieldsSeq(text) {
		set[word] = true
	}
	return set
}

// nginxTranslator knows what holds for all servers of a file.
type nginxTranslator struct {
	*builder
	upstreams map[string][]string // the addresses of an upstream
	maxBody   *directive          // of http
	shared    []*directive        // of http, about TLS and load balancers
	secure    bool                // the server that is translated is for TLS alone
	balanced  bool                // its set_real_ip_from names load balancers with the PROXY protocol
}

func translateNginx(b *builder, all []*directive) {
	t := nginxTranslator{builder: b, upstreams: make(map[string][]string)}
	t.http(all)
}

func (t *nginxTranslator) http(all []*directive) {
	for _, d := range all { // before the servers that name them
		switch d.name {
		case "upstream":
			t.upstream(d)
		case "client_max_body_size":
			t.maxBody = d
		}
		if isShared(d) {
			t.shared = append(t.shared, d)
		}
	}
	for _, d := range all {
		switch d.name {
		case "http":
			t.http(d.block)
		case "server":
			t.server(d)
		case "upstream", "client_max_body_size", "include":
		default:
			if !isShared(d) {
				t.other(d)
			}
		}
	}
}

func (t *nginxTranslator) upstream(d *directive) {
	for _, c := range d.block {
		switch {
		case c.name == "server":
			if len(c.args) > 1 {
				t.leave(c, "of this, only the address is carried over")
			}
			t.upstreams[d.arg(0)] = append(t.upstreams[d.arg(0)], c.arg(0))
		case c.name == "keepalive_requests", c.name == "keepalive", c.name == "keepalive_timeout", c.name == "least_conn", c.name == "zone":
		default:
			t.leave(c, "Sluice gives each request to the instance with the most free workers")
		}
	}
}

// other leaves a directive that nothing has been made of.
func (t *nginxTranslator) other(d *directive) {
	switch {
	case nginxNeedless[d.name]:
	case d.name == "if":
		t.leave(d, "Sluice has no conditions")
	case d.name == "add_header" || d.name == "more_set_headers":
		t.leave(d, "have the application send it")
	default:
		t.leave(d, "nothing in Sluice stands for it, or it is not known to this conversion")
	}
}

func (t *nginxTranslator) server(d *directive) {
	var names []string
	for _, c := range d.block {
		if c.name == "server_name" {
			names = append(names, t.names(c)...)
		}
	}
	if isDefaultServer(d) {
		names = nil
	}
	h := t.host(d, names)
	if d.child("client_max_body_size") == nil && t.maxBody != nil {
		t.site1(h, "", t.maxBody)
	}
	t.connections(h, d)
	led := false // an if leads all clients without TLS to https
	for _, c := range d.block {
		switch c.name {
		case "listen", "server_name", "include":
		case "root":
			h.root = c.arg(0)
		case "index":
			h.index = c.args
		case "location":
			t.location(h, c, "", h.root)
		case "return":
			if len(c.args) > 1 || !led || t.secure {
				t.returns(h, c, []string{"/*"})
			}
		case "rewrite":
			t.rewrite(h, c)
		case "error_page":
			t.leave(c, "Sluice passes the application's error pages on")
		case "if":
			if !t.securing(h, c, &led) && !t.ifMissing(h, c) {
				t.other(c)
			}
		default:
			if !t.ofTLS(h, c) && !t.site1(h, "", c) {
				t.other(c)
			}
		}
	}
}

// names are those of a server_name.
func (t *nginxTranslator) names(d *directive) (list []string) {
	for _, name := range d.args {
		switch {
		case name == "_" || name == "":
		case strings.HasPrefix(name, "~") || strings.HasSuffix(name, ".*"):
			t.leave(d, name+": a pattern of host names may only begin with *.")
		case strings.HasPrefix(name, "."):
			list = append(list, name[1:], "*"+name)
		default:
			list = append(list, name)
		}
	}
	return list
}

func isDefaultServer(d *directive) bool {
	return slices.ContainsFunc(d.block, func(c *directive) bool {
		return c.name == "listen" && (slices.Contains(c.args, "default_server") || slices.Contains(c.args, "default"))
	})
}

// listenAddress is an address in the way of a setting: ":80" for "80", "*:80" and "[::]:80".
func listenAddress(addr string) string {
	switch {
	case strings.Trim(addr, "0123456789") == "":
		return ":" + addr
	case strings.HasPrefix(addr, "[::]:"):
		return addr[4:]
	case strings.HasPrefix(addr, "*:"), strings.HasPrefix(addr, "0.0.0.0:"):
		return addr[strings.LastIndexByte(addr, ':'):]
	case !strings.Contains(addr, ":") || strings.HasSuffix(addr, "]"):
		return addr + ":80"
	}
	return addr
}

// site1 says a directive that means the same in a server and in a location.
func (t *nginxTranslator) site1(h *host, path string, d *directive) bool {
	switch d.name {
	case "client_max_body_size":
		n, ok := bytesOf(d.arg(0))
		switch {
		case ok && n == 0:
			n = 1 << 40
		case !ok || path != "" && path != "/":
			t.leave(d, "max_body is for a whole site")
			return true
		}
		h.everywhere(d, func(s *config.HostedSite) { s.MaxBody = max(s.MaxBody, n) })
	case "fastcgi_read_timeout", "proxy_read_timeout", "uwsgi_read_timeout", "scgi_read_timeout":
		wait, ok := seconds(d.arg(0))
		if !ok {
			t.leave(d, "is no time")
			return true
		}
		h.at(path, d, func(s *config.HostedSite) {
			s.Timeouts.FirstByte, s.Timeouts.BetweenBytes = max(wait, s.Timeouts.FirstByte), max(wait, s.Timeouts.BetweenBytes)
		})
	case "fastcgi_request_buffering", "proxy_request_buffering", "uwsgi_request_buffering", "scgi_request_buffering":
		if d.arg(0) == "off" {
			h.at(path, d, func(s *config.HostedSite) { s.RequestBuffering = config.Off })
		}
	case "set_real_ip_from":
		h.everywhere(d, func(s *config.HostedSite) { add(&s.TrustedProxies, strings.TrimSuffix(d.arg(0), ":")) })
	case "real_ip_header", "real_ip_recursive":
		if header := d.arg(0); d.name == "real_ip_header" && !strings.EqualFold(header, "X-Forwarded-For") && header != "proxy_protocol" {
			t.leave(d, "Sluice takes X-Forwarded-For and Forwarded of trusted_proxies")
		}
	case "gzip":
		if d.arg(0) == "on" {
			h.everywhere(d, func(s *config.HostedSite) { s.Compression.Scope = config.CompressPublic })
		}
	case "gzip_static":
		if d.arg(0) == "on" {
			h.everywhere(d, func(s *config.HostedSite) { add(&s.StaticPrecompressed, "gzip") })
		}
	case "auth_basic":
		if d.arg(0) != "off" {
			h.at(path, d, func(s *config.HostedSite) { s.Auth.Realm = d.arg(0) })
		} else if path != "" {
			t.leave(d, "auth.paths can only name what requires log-in")
		}
	case "auth_basic_user_file":
		h.at(path, d, func(s *config.HostedSite) {
			if s.Auth.File != "" && s.Auth.File != d.arg(0) {
				t.leave(d, "a site has one file of users")
				return
			}
			login(s, d.arg(0), path)
		})
	case "fastcgi_param", "uwsgi_param", "scgi_param":
		t.param(h, path, d)
	case "proxy_set_header":
		if !slices.Contains([]string{"host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip", "connection", "upgrade"}, strings.ToLower(d.arg(0))) {
			t.leave(d, "Sluice sets no further fields")
		}
	case "include":
	default:
		return false
	}
	return true
}

// ownParameters are variables that Sluice makes.
var ownParameters = wordSet(`QUERY_STRING REQUEST_METHOD CONTENT_TYPE CONTENT_LENGTH SCRIPT_NAME SCRIPT_FILENAME PATH_INFO PATH_TRANSLATED REQUEST_URI
	DOCUMENT_URI DOCUMENT_ROOT SERVER_PROTOCOL REQUEST_SCHEME HTTPS GATEWAY_INTERFACE SERVER_SOFTWARE REMOTE_ADDR REMOTE_PORT REMOTE_USER
	AUTH_TYPE SERVER_ADDR SERVER_PORT SERVER_NAME REDIRECT_STATUS HTTP_PROXY HTTP_HOST UWSGI_SCHEME`)

func (t *nginxTranslator) param(h *host, path string, d *directive) {
	name, value := d.arg(0), d.arg(1)
	switch {
	case name == "SCRIPT_FILENAME" && value != "" && !strings.Contains(value, "$"):
		h.at(path, d, func(s *config.HostedSite) { setEnv(s, name, value) })
	case ownParameters[name]:
	case strings.Contains(value, "$"):
		t.leave(d, "env has constant values")
	default:
		h.at(path, d, func(s *config.HostedSite) { setEnv(s, name, value) })
	}
}

func setEnv(s *config.HostedSite, name, value string) {
	if s.Env == nil {
		s.Env = make(map[string]string)
	}
	s.Env[name] = value
}

// returns translates "return STATUS URL" for paths, each a path or one that ends in *.
func (t *nginxTranslator) returns(h *host, d *directive, froms []string) {
	status, to := d.arg(0), d.arg(1)
	if len(d.args) == 1 && strings.Contains(status, "://") {
		status, to = "302", status
	}
	if !slices.Contains([]string{"301", "302", "303", "307", "308"}, status) {
		t.leave(d, "Sluice sends no answers of its own but redirects")
		return
	}
	to, keepsPath := strings.CutSuffix(to, "$request_uri")
	if !keepsPath {
		to, keepsPath = strings.CutSuffix(to, "$uri")
	}
	t.redirect(h, d, froms, to, keepsPath, status, t.secure)
}

// redirect leads clients elsewhere: to a target, or with keepsPath to the same path there. A target may be on
// the host that was asked, "https://$host". secure says that its clients speak TLS.
func (b *builder) redirect(h *host, d *directive, froms []string, to string, keepsPath bool, status string, secure bool) {
	scheme, name, isURL := strings.Cut(to, "://")
	name, port := cutPort(strings.TrimSuffix(name, "/"))
	asked := isURL && slices.Contains([]string{"$host", "$server_name", "$http_host", "%{HTTP_HOST}", "%{SERVER_NAME}", "{host}"}, name)
	hosts := []string{""}
	switch own := isURL && (asked || slices.Contains(h.names, name)); {
	case own && scheme == "https" && keepsPath && !secure:
		if !slices.Equal(froms, []string{"/*"}) {
			b.leave(d, "tls.redirect is for a whole site")
			return
		}
		b.toHTTPS(h, d, port, status)
		if asked || len(h.names) == 1 {
			return
		}
		hosts = slices.DeleteFunc(slices.Clone(h.names), func(other string) bool { return other == name })
	case own && scheme == "http" && keepsPath && secure:
		b.leave(d, "redirect is for clients with and without TLS, and would lead in a circle")
		return
	case asked:
		hosts = h.names
	case own && keepsPath && len(h.names) > 1: // not those that are there already
		hosts = slices.DeleteFunc(slices.Clone(h.names), func(other string) bool { return other == name })
	}
	for _, host := range hosts {
		for _, from := range froms {
			target, rule := to, from
			if asked {
				target = strings.Replace(to, name, host, 1)
			}
			if keepsPath {
				target = strings.TrimSuffix(target, "/") + from
			}
			if strings.ContainsAny(target, "${%") {
				b.leave(d, "the target of redirect has no variables")
				return
			}
			if len(h.names) > 1 && host != "" {
				rule = "//" + host + from
			}
			h.at(strings.TrimRight(from, "*"), d, func(s *config.HostedSite) {
				if !secure && h.tls.secure && len(h.sites) > 0 && from == "/*" {
					b.leave(d, "with TLS the application is there, and redirect is for both: clients are led there")
					h.tls.toHTTPS = append(h.tls.toHTTPS, d)
					return
				}
				add(&s.Redirect, rule+" "+target+" "+status)
			})
		}
	}
}

// cutPort divides the host of a URL from its port, if there is one.
func cutPort(host string) (name, port string) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || i+1 == len(host) || strings.Trim(host[i+1:], "0123456789") != "" || strings.Count(host, ":") > 1 && !strings.Contains(host, "]:") {
		return host, ""
	}
	return host[:i], host[i+1:]
}

// below are the patterns of a path and all that is below it.
func below(path string) []string {
	if strings.HasSuffix(path, "/") {
		return []string{path + "*"}
	}
	return []string{path, path + "/*"}
}

// rewrite translates "rewrite EXPRESSION TARGET FLAG".
func (t *nginxTranslator) rewrite(h *host, d *directive) {
	status := map[string]string{"permanent": "301", "redirect": "302"}[d.arg(2)]
	if strings.HasPrefix(d.arg(1), "http://") || strings.HasPrefix(d.arg(1), "https://") {
		status = cmp.Or(status, "302")
	}
	t.rewriteRule(h, d, d.arg(0), d.arg(1), '$', status)
}

// rewriteRule makes redirects, or rewrites if status is "", of a regular expression and what is put in
// place of what matches. Servers call their groups $1 or \1.
func (b *builder) rewriteRule(h *host, d *directive, expression, target string, sign byte, status string) {
	all, err := globs(expression)
	if err != nil {
		b.leave(d, err.Error())
		return
	}
	target, keepsQuery := withoutQuery(target)
	for _, g := range all {
		to, ok := g.substitute(target, sign)
		switch {
		case !ok || strings.ContainsAny(to, "$%"):
			b.leave(d, "the target has variables, or parts of the path in another order, which a rule of Sluice cannot say")
			return
		case status == "" && !strings.HasPrefix(to, "/"):
			b.leave(d, "the target is no path")
			return
		}
		from, isRewrite := g.pattern(), status == ""
		to = strings.TrimRight(to, "&")
		if !strings.HasPrefix(from, "/") || strings.HasPrefix(from, "//") {
			b.leave(d, "a rule of Sluice begins with / or //host/")
			return
		}
		if status != "" && !keepsQuery {
			to += "?"
		}
		rule := strings.TrimSpace(from + " " + to + " " + status)
		h.at(strings.TrimRight(from, "*"), d, func(s *config.HostedSite) {
			if isRewrite {
				add(&s.Rewrite, rule)
			} else {
				add(&s.Redirect, rule)
			}
		})
	}
}

// withoutQuery leaves out of a target how the client's query is appended, which Sluice does by itself.
func withoutQuery(target string) (short string, keeps bool) {
	if short, cut := strings.CutSuffix(target, "?"); cut {
		return short, false
	}
	for _, end := range []string{"$is_args$args", "$is_args$query_string", "?$args", "?$query_string", "&$args", "&$query_string", "?%{QUERY_STRING}", "&%{QUERY_STRING}"} {
		target = strings.TrimSuffix(target, end)
	}
	return target, true
}

// ifMissing translates if (!-e $request_filename) { rewrite ... }.
func (t *nginxTranslator) ifMissing(h *host, d *directive) bool {
	if condition := strings.Trim(strings.Join(d.args, " "), "() "); condition != "!-e $request_filename" && condition != "!-f $request_filename" {
		return false
	}
	for _, c := range d.block {
		switch c.name {
		case "rewrite":
			t.missing(h, c, c.arg(0), c.arg(1), '$')
		case "break":
		default:
			t.other(c)
		}
	}
	return true
}

// missing says what answers where no file is: fallback if the expression matches everything, a rewrite else.
func (b *builder) missing(h *host, d *directive, expression, target string, sign byte) {
	all, err := globs(expression)
	if err != nil || len(all) != 1 || strings.Trim(all[0].pattern(), "/*") != "" {
		b.rewriteRule(h, d, expression, target, sign, "")
		return
	}
	target, _ = withoutQuery(target)
	// Of fallback, * is the path without its first /.
	to, ok := all[0].substitute(target, sign)
	to = strings.TrimRight(to, "&")
	if path, query, _ := strings.Cut(to, "?"); ok && strings.HasPrefix(all[0].text, "*") && !strings.HasSuffix(path, "/*") && !strings.HasSuffix(query, "=*") && strings.Contains(to, "*") {
		ok = false
	} else if ok && strings.HasPrefix(all[0].text, "*") && strings.Contains(query, "=*") {
		ok = false // the path with its first /
	}
	b.fallback(h, d, to, ok)
}

// fallback has a script answer where nothing is.
func (b *builder) fallback(h *host, d *directive, to string, ok bool) {
	if !ok || !strings.HasPrefix(to, "/") || strings.ContainsAny(to, "$%") {
		b.leave(d, "a target that fallback cannot say")
		return
	}
	h.at("/", d, func(s *config.HostedSite) {
		if s.Fallback != "" && s.Fallback != to {
			b.leave(d, "the fallback is "+s.Fallback+" already")
			return
		}
		s.Fallback = to
	})
}
