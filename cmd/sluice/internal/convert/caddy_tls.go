package convert

import (
	"cmp"
	"net"
	"slices"
	"strings"
)

// acme is what is said of certificates that are obtained by ACME.
type acme struct {
	wanted  *directive // the first site whose certificate is
	options []string   // as they are written in sluice.toml
}

// caddyAddress is one of a site. Each part may be "".
type caddyAddress struct{ scheme, host, port string }

// acmeOption translates a global option about ACME.
func (b *builder) acmeOption(d *directive) bool {
	key := map[string]string{"email": "email", "acme_ca": "ca", "acme_ca_root": "ca_root"}[d.name]
	if key == "" || d.arg(0) == "" || strings.ContainsAny(d.arg(0), "{\"\\\n") {
		return false
	}
	if !slices.ContainsFunc(b.acme.options, func(option string) bool { return strings.HasPrefix(option, key+" ") }) {
		b.acme.options = append(b.acme.options, key+" = \""+d.arg(0)+"\"")
	}
	return true
}

// askTerms says how the certificates that Caddy obtains are obtained here: it is for the administrator to agree
// to the terms of an authority.
func (b *builder) askTerms() {
	if b.acme.wanted == nil {
		return
	}
	options := append([]string{"agree_terms = \"on\""}, b.acme.options...)
	b.leave(b.acme.wanted, "Caddy obtains its certificate by ACME. Sluice does so for all hosts if you agree to the terms of service of the certificate authority; add below [server]: acme = { "+strings.Join(options, ", ")+" }")
}

// connections translates how a site is connected to: unless it says http or port 80, with TLS, and at port 80 to
// be led there.
func (t *caddyTranslator) connections(h *host, d *directive, addresses []caddyAddress) {
	own := d.child("tls")
	plain, secure := false, false
	for _, a := range addresses {
		switch {
		case a.scheme == "http", a.port == "80", a.scheme == "" && a.host == "" && a.port != "443" && own == nil:
			plain = true
			t.listen(":" + cmp.Or(a.port, "80"))
		default:
			secure = true
			t.listen(":80")
			t.listenTLS(d, ":"+cmp.Or(a.port, "443"))
		}
	}
	h.tls.plain, h.tls.secure = h.tls.plain || plain, h.tls.secure || secure
	t.secure = secure && !plain
	hasFile := false
	for _, c := range d.block {
		if c.name == "tls" {
			hasFile = t.tlsOf(h, c) || hasFile
		}
	}
	if secure && !hasFile {
		t.obtained(h, &directive{path: d.path, at: d.at, name: d.String()})
	}
}

// obtained is for a site whose certificate Caddy obtains.
func (t *caddyTranslator) obtained(h *host, d *directive) {
	public := false
	for _, name := range h.names {
		switch {
		case name == "localhost", strings.HasSuffix(name, ".localhost"), strings.HasSuffix(name, ".internal"), strings.HasSuffix(name, ".local"), net.ParseIP(name) != nil:
			t.leave(d, "for "+name+" Caddy has a certificate authority of its own, and Sluice has none: name a certificate in tls.certificate")
		case strings.HasPrefix(name, "*."):
			t.leave(d, "for "+name+" certificates need DNS-01, which is not spoken: name one in tls.certificate")
		default:
			public = true
		}
	}
	if public && t.acme.wanted == nil {
		t.acme.wanted = d
	}
}

// tlsOf translates tls, and reports whether a certificate is not to be obtained by ACME.
func (t *caddyTranslator) tlsOf(h *host, d *directive) (hasFile bool) {
	switch {
	case d.arg(0) == "internal":
		t.leave(d, "Caddy has a certificate authority of its own, and Sluice has none: name a certificate in tls.certificate")
		h.tls.noACME = true
		hasFile = true
	case len(d.args) == 2:
		t.certificate(h, d, d.arg(0), false)
		t.certificate(h, d, d.arg(1), true)
		hasFile = true
	case len(d.args) == 1 && strings.Contains(d.arg(0), "@") && t.acmeOption(&directive{name: "email", args: d.args}):
	case len(d.args) > 0:
		t.leave(d, "is no mail address, and no certificate with its key")
	}
	for _, c := range d.block {
		switch {
		case c.name == "protocols" && c.arg(0) == "tls1.3":
			t.protocols(h, c, []string{"1.3"})
		case c.name == "protocols" && c.arg(1) == "tls1.2":
			t.protocols(h, c, []string{"1.2"})
		case c.name == "protocols":
		case (c.name == "ca" || c.name == "ca_root") && t.acmeOption(&directive{name: "acme_" + c.name, args: c.args}):
		case c.name == "client_auth":
			t.leave(&directive{path: c.path, at: c.at, name: c.name}, "clients are asked for no certificates: whoever must not come in without one has to be kept out otherwise")
		case slices.Contains([]string{"ciphers", "curves", "alpn"}, c.name):
			t.leave(c, "cipher suites and curves are those that Go chooses")
		default:
			t.leave(&directive{path: c.path, at: c.at, name: c.name}, "nothing in Sluice stands for it, or it is not known to this conversion")
		}
	}
	return hasFile
}

// header translates a header directive: of a field, or a block of several.
func (t *caddyTranslator) header(h *host, d *directive, args []string) {
	fields := d.block
	if len(args) > 0 {
		fields = []*directive{{path: d.path, at: d.at, name: args[0], args: args[1:]}}
	}
	for _, c := range fields {
		if name := strings.TrimLeft(c.name, "+?>"); isHSTS(name) && !strings.Contains(c.arg(0), "{") && len(c.args) == 1 {
			t.strictTransport(h, c, c.arg(0))
			continue
		}
		if len(args) > 0 {
			c = d
		}
		t.leave(c, "have the application send it")
	}
}
