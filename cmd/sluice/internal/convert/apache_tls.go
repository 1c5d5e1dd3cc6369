package convert

import (
	"slices"
	"strings"
)

// apachePorts are those at which clients speak TLS: 443, and those of virtual hosts that say so.
func apachePorts(all []*directive) map[string]bool {
	ports := map[string]bool{}
	for _, d := range all {
		switch strings.ToLower(d.name) {
		case "listen":
			if _, port := cutPort(d.arg(0)); port == "443" || d.arg(0) == "443" || strings.EqualFold(d.arg(1), "https") {
				ports[portOf(d.arg(0))] = true
			}
		case "virtualhost":
			for _, addr := range d.args {
				if portOf(addr) == "443" || apacheTLS(d.block) {
					ports[portOf(addr)] = true
				}
			}
		}
	}
	return ports
}

func apacheTLS(block []*directive) bool {
	return slices.ContainsFunc(block, func(d *directive) bool {
		return strings.EqualFold(d.name, "SSLEngine") && strings.EqualFold(d.arg(0), "on")
	})
}

// portOf is the port of an address such as *:443, 443 and [::1]:443; "*" of one that is for all ports.
func portOf(addr string) string {
	if strings.Trim(addr, "0123456789") == "" {
		return addr
	}
	if _, port := cutPort(addr); port != "" {
		return port
	}
	return "*"
}

// listenAt adds an address, with TLS if that is spoken at its port.
func (t *apacheTranslator) listenAt(d *directive, addr string) {
	if t.ports[portOf(addr)] {
		t.listenTLS(d, addr)
	} else {
		t.listen(addr)
	}
}

// addresses translates those of a virtual host, and reports whether it is for clients with TLS alone.
func (t *apacheTranslator) addresses(h *host, d *directive) (onlyTLS bool) {
	onlyTLS = len(d.args) > 0
	named := &directive{path: d.path, at: d.at, name: "<" + d.String() + ">"}
	for _, addr := range d.args {
		port := portOf(addr)
		secure := apacheTLS(d.block) || t.ports[port]
		if port != "*" {
			t.listenAt(named, listenAddress(strings.Replace(addr, "_default_", "*", 1)))
		}
		h.tls.plain, h.tls.secure = h.tls.plain || !secure, h.tls.secure || secure
		onlyTLS = onlyTLS && secure
	}
	return onlyTLS
}

// ofTLS translates a directive about TLS.
func (t *apacheTranslator) ofTLS(h *host, d *directive, name string) bool {
	switch name {
	case "sslengine", "sslsessioncache", "sslsessioncachetimeout", "sslsessiontickets", "sslhonorcipherorder", "sslcompression", "sslrandomseed", "sslcryptodevice",
		"sslpassphrasedialog", "ssloptions", "sslusestapling", "sslstaplingcache", "sslinsecurerenegotiation", "sslmutex":
	case "sslcertificatefile", "sslcertificatekeyfile":
		t.certificate(h, d, d.arg(0), name == "sslcertificatekeyfile")
	case "sslcertificatechainfile":
		t.leave(d, "the chain is in the file of tls.certificate, after the certificate")
	case "sslprotocol":
		t.protocols(h, d, tlsVersions(d.args))
	case "sslciphersuite", "sslopensslconfcmd":
		t.leave(d, "cipher suites and curves are those that Go chooses")
	case "sslverifyclient", "sslverifydepth", "sslcacertificatefile", "sslcacertificatepath", "sslrequire", "sslcarevocationfile":
		if !strings.EqualFold(d.arg(0), "none") {
			t.leave(d, "clients are asked for no certificates: whoever must not come in without one has to be kept out otherwise")
		}
	case "sslrequiressl":
		t.leave(d, "tls.redirect is for a whole site")
	case "protocols":
		if slices.Contains(d.args, "h2") {
			t.tls.http2 = append(t.tls.http2, d)
		} else {
			t.tls.http1 = append(t.tls.http1, d)
		}
	case "header":
		args := d.args
		if len(args) > 0 && strings.EqualFold(args[0], "always") {
			args = args[1:]
		}
		switch {
		case len(args) == 3 && strings.EqualFold(args[0], "set") && isHSTS(args[1]), len(args) == 3 && strings.EqualFold(args[0], "add") && isHSTS(args[1]):
			t.strictTransport(h, d, args[2])
		default:
			t.leave(d, "have the application send it")
		}
	case "remoteipproxyprotocol", "remoteipproxyprotocolexceptions":
		t.leave(d, "name the load balancers in proxy_protocol: it is not said here which may tell clients' addresses")
	default:
		return false
	}
	return true
}

// tlsVersions are those that words such as all, -TLSv1.1 and +TLSv1.3 leave.
func tlsVersions(words []string) (versions []string) {
	all := []string{"1", "1.1", "1.2", "1.3"}
	for _, word := range words {
		word = strings.ToLower(strings.TrimSpace(word))
		name := strings.TrimPrefix(strings.TrimLeft(word, "+-"), "tlsv")
		names := []string{name}
		if name == "all" {
			names = all
		}
		if !strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "+") && name != "all" && len(words) == 1 {
			versions = nil
		}
		for _, name := range names {
			versions = slices.DeleteFunc(versions, func(v string) bool { return v == name })
			if !strings.HasPrefix(word, "-") {
				versions = append(versions, name)
			}
		}
	}
	return versions
}

// apacheAnything are expressions that match every path.
var apacheAnything = []string{"^", ".*", "^(.*)$", "(.*)", "^/?(.*)", "^/(.*)", "^/?(.*)$", "^/(.*)$", "^.*$"}

// securing translates a RewriteRule that leads clients without TLS to the same with it.
func (t *apacheTranslator) securing(h *host, d *directive, conditions []*directive, flags string) bool {
	host, ok := strings.CutSuffix(d.arg(1), "%{REQUEST_URI}")
	if !ok {
		host, ok = strings.CutSuffix(d.arg(1), "/$1")
	}
	name := strings.TrimPrefix(host, httpsScheme)
	if !ok || name == host || name != "%{HTTP_HOST}" && name != "%{SERVER_NAME}" && !slices.Contains(h.names, name) {
		return false
	}
	if !slices.Contains(apacheAnything, d.arg(0)) {
		return false
	}
	without := !t.secure[d]
	for _, c := range conditions {
		switch test := c.arg(0) + " " + c.arg(1); {
		case test == "%{HTTPS} off", test == "%{HTTPS} !=on", test == "%{HTTPS} !on", test == "%{SERVER_PORT} 80", test == "%{SERVER_PORT} ^80$", test == "%{SERVER_PORT} !^443$":
			without = true
		case (c.arg(0) == "%{SERVER_NAME}" || c.arg(0) == "%{HTTP_HOST}") && slices.Contains(h.names, strings.TrimPrefix(c.arg(1), "=")):
		default:
			return false
		}
	}
	if !without {
		return false
	}
	status := "302"
	for flag := range strings.SplitSeq(flags, ",") {
		if value, ok := strings.CutPrefix(flag, "R="); ok {
			status = strings.Replace(value, "PERMANENT", "301", 1)
		}
	}
	t.toHTTPS(h, d, "", status)
	return true
}
