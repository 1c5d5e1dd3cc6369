package convert

import (
	"slices"
	"strings"
)

// isShared reports a directive about TLS or load balancers, which may stand outside of servers and holds for
// those that do not say it.
func isShared(d *directive) bool {
	switch d.name {
	case "ssl_certificate", "ssl_certificate_key", "ssl_protocols", "set_real_ip_from", "real_ip_header", "real_ip_recursive", "http2":
		return true
	}
	return d.name == "add_header" && isHSTS(d.arg(0))
}

// connections translates the listen of a server, and what is said for all servers and not for this one.
func (t *nginxTranslator) connections(h *host, server *directive) {
	var shared []*directive
	for _, d := range t.shared {
		if !slices.ContainsFunc(server.block, func(c *directive) bool { return c.name == d.name }) {
			shared = append(shared, d)
		}
	}
	t.listens(h, server)
	t.proxied(slices.Concat(shared, server.block))
	for _, d := range shared {
		if !t.ofTLS(h, d) {
			t.site1(h, "", d)
		}
	}
}

func (t *nginxTranslator) listens(h *host, server *directive) {
	ssl := server.child("ssl")
	plain, secure := server.child("listen") == nil, false
	for _, d := range server.block {
		if d.name != "listen" {
			continue
		}
		addr := d.arg(0)
		if !strings.HasPrefix(addr, "unix:") {
			addr = listenAddress(addr)
		}
		switch {
		case slices.Contains(d.args, "quic"):
			t.leave(d, "HTTP/3 is not spoken")
		case slices.Contains(d.args, "ssl"), ssl != nil && ssl.arg(0) == "on":
			secure = true
			t.listenTLS(d, addr)
		default:
			plain = true
			t.listen(addr)
		}
		if slices.Contains(d.args, "http2") {
			t.tls.http2 = append(t.tls.http2, d)
		}
	}
	h.tls.plain, h.tls.secure = h.tls.plain || plain, h.tls.secure || secure
	t.secure = secure && !plain
}

// proxied translates listen ... proxy_protocol, with the load balancers that set_real_ip_from names.
func (t *nginxTranslator) proxied(all []*directive) {
	var header *directive
	var peers, with, without []*directive
	for _, d := range all {
		switch {
		case d.name == "real_ip_header":
			header = d
		case d.name == "set_real_ip_from":
			peers = append(peers, d)
		case d.name == "listen" && slices.Contains(d.args, "proxy_protocol"):
			with = append(with, d)
		case d.name == "listen":
			without = append(without, d)
		}
	}
	t.balanced = header != nil && header.arg(0) == "proxy_protocol"
	switch {
	case len(with) > 0 && (!t.balanced || len(peers) == 0):
		for _, d := range with {
			t.leave(d, "name the load balancers in proxy_protocol: it is not said here which may tell clients' addresses")
		}
		return
	case len(with) == 0 && t.balanced:
		t.leave(header, "no listen of this server has proxy_protocol")
		return
	case len(with) == 0:
		return
	}
	for _, d := range peers {
		t.proxiedBy(d, strings.TrimSuffix(d.arg(0), ":"))
	}
	for _, d := range without {
		t.leave(d, "proxy_protocol is for all addresses of listen: here, too, a load balancer's connections have to begin with its header")
	}
}

// ofTLS translates a directive about TLS.
func (t *nginxTranslator) ofTLS(h *host, d *directive) bool {
	switch d.name {
	case "ssl_certificate", "ssl_certificate_key":
		t.certificate(h, d, d.arg(0), d.name == "ssl_certificate_key")
	case "ssl_protocols":
		var versions []string
		for _, a := range d.args {
			versions = append(versions, strings.TrimPrefix(a, "TLSv"))
		}
		t.protocols(h, d, versions)
	case "ssl_ciphers", "ssl_ecdh_curve", "ssl_conf_command":
		t.leave(d, "cipher suites and curves are those that Go chooses")
	case "ssl_stapling", "ssl_stapling_verify", "ssl_trusted_certificate", "ssl_stapling_responder", "ssl_stapling_file": // stapled without a setting
	case "ssl_verify_client", "ssl_client_certificate", "ssl_verify_depth", "ssl_crl":
		if d.arg(0) != "off" {
			t.leave(d, "clients are asked for no certificates: whoever must not come in without one has to be kept out otherwise")
		}
	case "http2":
		if d.arg(0) == "off" {
			t.tls.http1 = append(t.tls.http1, d)
		} else {
			t.tls.http2 = append(t.tls.http2, d)
		}
	case "http3", "quic_retry", "quic_gso":
		if d.arg(0) != "off" {
			t.leave(d, "HTTP/3 is not spoken")
		}
	case "add_header":
		if !isHSTS(d.arg(0)) || strings.Contains(d.arg(1), "$") {
			return false
		}
		t.strictTransport(h, d, d.arg(1))
	case "set_real_ip_from":
		return t.balanced // proxied has done it
	default:
		return false
	}
	return true
}

// securing translates if ($scheme = http) { return 301 https://... }, and the one with $host that certbot writes.
func (t *nginxTranslator) securing(h *host, d *directive, led *bool) bool {
	condition := strings.Fields(strings.ReplaceAll(strings.Trim(strings.Join(d.args, " "), "() "), "\"", ""))
	if len(d.block) != 1 || d.block[0].name != "return" || len(condition) < 2 {
		return false
	}
	c := d.block[0]
	to, isSame := strings.CutSuffix(c.arg(1), "$request_uri")
	switch text := strings.Join(condition, " "); {
	case text == "$scheme = http", text == "$scheme != https", text == "$https =", text == "$https = ''", text == "$server_port = 80":
	case condition[0] == "$host" && condition[1] == "=" && isSame && to == "https://$host" && !t.secure:
	default:
		return false
	}
	*led = true
	was := t.secure
	t.secure = false
	t.returns(h, c, []string{"/*"})
	t.secure = was
	return true
}
