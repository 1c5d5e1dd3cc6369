package convert

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// hostTLS is what is said of TLS for a host.
type hostTLS struct {
	plain, secure bool         // it is served without, and with it
	toHTTPS       []*directive // what leads its clients without TLS to the same with TLS
	certificates  []pemFile
	keys          []pemFile
	hsts          *config.SiteTLS // of which only HSTS is set
	hstsAt        *directive
	only13        *directive // says that TLS 1.2 is not spoken
	noACME        bool
	apart         bool // what leads clients of the main host to https leads none of its own
}

// pemFile is a file that a directive names.
type pemFile struct {
	path string
	d    *directive
}

// serverTLS is what is said of TLS, and matters to all hosts.
type serverTLS struct {
	at           map[string]*directive // by address with TLS: what says it
	http2        []*directive          // say that HTTP/2 is spoken
	http1        []*directive          // say that it is not
	redirectPort string                // where clients reach https
}

const httpsScheme = "https://"

// listenTLS adds an address that clients connect to with TLS, ":443" or "unix:/path".
func (b *builder) listenTLS(d *directive, addr string) {
	if strings.HasPrefix(addr, "unix:") {
		addr = "https+" + addr
	} else {
		addr = httpsScheme + addr
	}
	b.listen(addr)
	if b.tls.at == nil {
		b.tls.at = make(map[string]*directive)
	}
	if b.tls.at[addr] == nil {
		b.tls.at[addr] = d
	}
}

// certificate names the file of a certificate of a host, or of its key.
func (b *builder) certificate(h *host, d *directive, path string, isKey bool) {
	if path == "" || strings.ContainsAny(path, "${") || strings.HasPrefix(path, "data:") || strings.HasPrefix(path, "engine:") || strings.HasPrefix(path, "store:") {
		b.leave(d, "tls.certificate and tls.key are files")
		return
	}
	if !strings.HasPrefix(path, "/") {
		b.leave(d, "write the whole path: it begins at a directory of the web server")
	}
	if isKey {
		h.tls.keys = append(h.tls.keys, pemFile{path, d})
	} else {
		h.tls.certificates = append(h.tls.certificates, pemFile{path, d})
	}
}

// protocols notes which versions of TLS are spoken.
func (b *builder) protocols(h *host, d *directive, versions []string) {
	has := func(version string) bool { return slices.Contains(versions, version) }
	switch {
	case !has("1.3"):
		b.leave(d, "Sluice speaks TLS 1.3, too")
	case !has("1.2"):
		h.tls.only13 = d
	case has("1") || has("1.1"):
		b.leave(d, "of TLS, 1.2 and 1.3 are spoken, and nothing older")
	}
}

// strictTransport translates a value of Strict-Transport-Security.
func (b *builder) strictTransport(h *host, d *directive, value string) {
	t := &config.SiteTLS{}
	for part := range strings.SplitSeq(value, ";") {
		name, text, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.ToLower(name) {
		case "max-age":
			n, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 64)
			if err != nil || n > int64(100*365*24*time.Hour/time.Second) {
				b.leave(d, "max-age is no time that tls.hsts can say")
				return
			}
			t.HSTS = config.Duration(n) * config.Duration(time.Second)
		case "includesubdomains":
			t.HSTSSubdomains = config.On
		case "preload":
			t.HSTSPreload = config.On
		case "":
		default:
			b.leave(d, name+" is no part of HSTS that Sluice knows")
		}
	}
	if t.HSTS <= 0 {
		b.leave(d, "tls.hsts tells no browser to forget: have the application send it")
		return
	}
	if t.HSTSPreload == config.On && (t.HSTS < config.Duration(365*24*time.Hour) || t.HSTSSubdomains != config.On) {
		b.leave(d, "preload is left out: browsers want 365 days at least, and includeSubDomains")
		t.HSTSPreload = ""
	}
	h.tls.hsts, h.tls.hstsAt = t, d
}

// isHSTS reports the name of the field that strictTransport translates.
func isHSTS(name string) bool { return strings.EqualFold(name, "Strict-Transport-Security") }

// proxiedBy has a load balancer tell clients' addresses by the PROXY protocol.
func (b *builder) proxiedBy(d *directive, peer string) {
	if _, _, err := net.ParseCIDR(peer); err != nil && net.ParseIP(peer) == nil && peer != "unix" {
		b.leave(d, "proxy_protocol has addresses and networks, and this is none: "+peer)
		return
	}
	add(&b.config.Server.ProxyProtocol, peer)
}

// toHTTPS notes a redirect to the same with TLS, at a port if that is not 443. It is the default in Sluice,
// with 301 for GET.
func (b *builder) toHTTPS(h *host, d *directive, port, status string) {
	h.tls.toHTTPS = append(h.tls.toHTTPS, d)
	b.tls.redirectPort = cmp.Or(b.tls.redirectPort, port)
	if status != "301" && status != "308" {
		b.leave(d, "clients are led to https with 301, which browsers remember, and not with "+status)
	}
}

// secureListen are the addresses with TLS.
func (b *builder) secureListen() (list []string) {
	for _, addr := range b.config.Server.Listen {
		if b.tls.at[addr] != nil {
			list = append(list, addr)
		}
	}
	return list
}

// completeServerTLS decides what holds for all hosts.
func (b *builder) completeServerTLS() {
	if b.main != nil {
		for _, h := range b.hosts {
			h.tls.inherit(&b.main.tls)
		}
	}
	b.withoutCertificates()
	server, list := &b.config.Server, b.secureListen()
	if len(list) == 0 {
		for _, h := range b.hosts {
			b.leaveTLS(h)
		}
		return
	}
	switch {
	case len(b.tls.http1) > 0 && len(b.tls.http2) == 0:
		server.TLS.HTTP = config.HTTP11
	case len(b.tls.http1) > 0:
		for _, d := range b.tls.http1 {
			b.leave(d, "tls.http is for all sites, and others have HTTP/2")
		}
	}
	older := slices.ContainsFunc(b.hosts, func(h *host) bool { return h.isServed() && h.tls.secure && h.tls.only13 == nil })
	for _, h := range b.hosts {
		switch {
		case h.tls.only13 == nil:
		case older:
			b.leave(h.tls.only13, "tls.min_version is for all sites, and others have TLS 1.2")
		default:
			server.TLS.MinVersion = config.TLS13
		}
	}
	if _, port, _ := net.SplitHostPort(strings.TrimPrefix(list[0], httpsScheme)); b.tls.redirectPort != port {
		if n, err := strconv.ParseUint(b.tls.redirectPort, 10, 16); err == nil {
			server.TLS.RedirectPort = int(n)
		}
	}
}

// withoutCertificates leaves out the addresses with TLS if there is no certificate, with which Sluice would not
// start.
func (b *builder) withoutCertificates() {
	for _, h := range b.hosts {
		if t := &h.tls; len(t.keys) > len(t.certificates) {
			for _, f := range t.keys[len(t.certificates):] {
				b.leave(f.d, "there is no certificate for this key")
			}
			t.keys = t.keys[:len(t.certificates)]
		}
	}
	if b.acme.wanted != nil || slices.ContainsFunc(b.hosts, func(h *host) bool { return len(h.tls.certificates) > 0 && h.isServed() }) {
		return
	}
	for _, addr := range b.secureListen() {
		b.leave(b.tls.at[addr], "there is no certificate: name it in tls.certificate of the site, or have it obtained (acme.agree_terms), and add "+addr+" to listen")
		b.config.Server.Listen = slices.DeleteFunc(b.config.Server.Listen, func(a string) bool { return a == addr })
	}
}

// isServed reports whether a host is going to have sites.
func (h *host) isServed() bool { return len(h.sites) > 0 || len(h.rules) > 0 || h.root != "" }

// leaveTLS leaves what means nothing without an address with TLS.
func (b *builder) leaveTLS(h *host) {
	for _, f := range slices.Concat(h.tls.certificates, h.tls.keys) {
		b.leave(f.d, "no address with TLS is in this file")
	}
	for _, d := range h.tls.toHTTPS {
		b.leave(d, "no address with TLS is in this file; with one in listen, Sluice does so by itself")
	}
	if h.tls.hsts != nil {
		b.leave(h.tls.hstsAt, "no address with TLS is in this file: have it sent where TLS ends")
	}
}

// inherit takes over what is said for all hosts.
func (t *hostTLS) inherit(all *hostTLS) {
	if t == all {
		return
	}
	if len(t.certificates) == 0 {
		t.certificates, t.keys = all.certificates, all.keys
	}
	if t.hsts == nil {
		t.hsts, t.hstsAt = all.hsts, all.hstsAt
	}
	if t.only13 == nil {
		t.only13 = all.only13
	}
	if !t.apart {
		t.toHTTPS = append(t.toHTTPS, all.toHTTPS...)
	}
}

// completeTLS gives the sites of a host what is said of TLS for the host. A certificate is whichever site's that fits
// the name, so the first site has it.
func (b *builder) completeTLS(t *hostTLS, sites []*config.HostedSite) {
	if len(b.secureListen()) == 0 {
		return
	}
	for i, s := range sites {
		if t.hsts != nil {
			s.TLS.HSTS, s.TLS.HSTSSubdomains, s.TLS.HSTSPreload = t.hsts.HSTS, t.hsts.HSTSSubdomains, t.hsts.HSTSPreload
		}
		if t.plain && len(t.toHTTPS) == 0 {
			s.TLS.Redirect = config.Off
		}
		if b.acme.wanted != nil && (!t.secure || t.noACME) {
			s.TLS.ACME = config.Off
		}
		if i == 0 {
			s.TLS.Certificates, s.TLS.Keys = t.files()
		}
	}
}

// files are the certificates, each once, and their keys: none if the files of the certificates have them.
func (t *hostTLS) files() (certificates, keys []string) {
	for n, f := range t.certificates {
		key := f.path
		if n < len(t.keys) {
			key = t.keys[n].path
		}
		known := false
		for i, other := range certificates {
			known = known || other == f.path && keys[i] == key
		}
		if !known {
			certificates, keys = append(certificates, f.path), append(keys, key)
		}
	}
	if slices.Equal(certificates, keys) {
		keys = nil
	}
	return certificates, keys
}
