package convert

import (
	"slices"
	"strings"
)

// enabled is the setting of that name that is "enable" somewhere, nil if there is none.
func enabled(all []*directive, name string) *directive {
	for _, d := range all {
		if d.name == name && d.value != nil && d.value.text == "enable" {
			return d
		}
		if found := enabled(d.block, name); found != nil {
			return found
		}
	}
	return nil
}

// lighttpdTLS reports whether a block has its clients speak TLS.
func lighttpdTLS(block []*directive) bool {
	return slices.ContainsFunc(block, func(d *directive) bool {
		return d.name == "ssl.engine" && d.value != nil && d.value.text == "enable"
	})
}

// sockets translates where clients connect to: the main address, and those of $SERVER["socket"].
func (t lighttpdTranslator) sockets(all []*directive, addr string) {
	add := func(d *directive, addr string, secure bool) {
		if t.main.tls.plain, t.main.tls.secure = t.main.tls.plain || !secure, t.main.tls.secure || secure; secure {
			t.listenTLS(d, addr)
		} else {
			t.listen(addr)
		}
	}
	of := &directive{}
	for _, d := range all {
		if d.name == "ssl.engine" {
			of = d
		}
	}
	add(of, addr, lighttpdTLS(all))
	for _, d := range all {
		if d.name != `$SERVER["socket"]` || d.arg(0) != "==" || !d.open {
			continue
		}
		at := d.arg(1)
		if path, isUnix := strings.CutPrefix(at, "/"); isUnix {
			at = "unix:/" + path
		} else {
			at = listenAddress(at)
		}
		if secure := lighttpdTLS(d.block); secure || at != addr || !lighttpdTLS(all) {
			add(d, at, secure)
		}
	}
}

// secureHosts says for each host how it is served, which is the same for all of them.
func (t lighttpdTranslator) secureHosts() {
	for _, h := range t.hosts {
		h.tls.plain, h.tls.secure = t.main.tls.plain, t.main.tls.secure
	}
}

// securing translates a redirect of clients without TLS to the same with it.
func (t lighttpdTranslator) securing(h *host, d *directive, from, to, code string) bool {
	if !t.plain || !slices.Contains([]string{"", ".*", "^(.*)$", "^.*$", "(.*)", "^/(.*)"}, from) {
		return false
	}
	switch to = strings.TrimSuffix(to, "${qsa}"); to {
	case "https://${url.authority}${url.path}", "https://${url.host}${url.path}", "https://%0$0", "https://%1$0", "https://%1$1", "https://%0$1", "https://%0/$1", "https://%1/$1":
	default:
		if name := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(to, httpsScheme), "$0"), "/$1"); !slices.Contains(h.names, name) {
			return false
		}
	}
	t.toHTTPS(h, d, "", code)
	return true
}

// ofTLS translates a setting of TLS.
func (t lighttpdTranslator) ofTLS(h *host, d *directive) bool {
	named := &directive{path: d.path, at: d.at, name: d.name}
	switch d.name {
	case "ssl.engine", "extforward.hap-PROXY":
	case "ssl.pemfile", "ssl.privkey":
		t.certificate(h, named, d.value.text, d.name == "ssl.privkey")
	case "ssl.openssl.ssl-conf-cmd":
		for _, p := range d.value.list {
			t.command(h, named, p)
		}
	case "ssl.honor-cipher-order", "ssl.use-sslv2", "ssl.use-sslv3", "ssl.dh-file", "ssl.disable-client-renegotiation", "ssl.read-ahead", "ssl.empty-fragments", "ssl.stapling-file":
	case "ssl.cipher-list", "ssl.ec-curve":
		t.leave(named, "cipher suites and curves are those that Go chooses")
	case "ssl.ca-file":
		t.leave(named, "the chain is in the file of tls.certificate, after the certificate")
	case "setenv.add-response-header", "setenv.set-response-header":
		for _, p := range d.value.list {
			if isHSTS(p.key) {
				t.strictTransport(h, named, p.text)
			} else {
				t.leave(named, p.key+": have the application send it")
			}
		}
	default:
		if strings.HasPrefix(d.name, "ssl.verifyclient.") || strings.HasPrefix(d.name, "ssl.ca-") {
			if d.value.text != "disable" {
				t.leave(named, "clients are asked for no certificates: whoever must not come in without one has to be kept out otherwise")
			}
			return true
		}
		return false
	}
	return true
}

// command translates one of ssl.openssl.ssl-conf-cmd.
func (t lighttpdTranslator) command(h *host, d *directive, p pair) {
	switch p.key {
	case "MinProtocol":
		versions := map[string][]string{"TLSv1.3": {"1.3"}, "TLSv1.2": {"1.2", "1.3"}}[p.text]
		if versions == nil {
			versions = []string{"1", "1.2", "1.3"}
		}
		t.protocols(h, d, versions)
	case "Protocol":
		t.protocols(h, d, tlsVersions(strings.Split(p.text, ",")))
	case "Options":
	default:
		t.leave(d, p.key+": cipher suites and curves are those that Go chooses")
	}
}
