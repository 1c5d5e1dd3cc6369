package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/certs"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tlsfront"
)

// checkTLS refuses what cannot be served over TLS, and settings of TLS without effect.
func (s *setup) checkTLS() error {
	secure, acme := s.speaks(protocolHTTPS), &s.Server.ACME
	switch {
	case acme.Enabled() && !secure:
		return fmt.Errorf("acme.agree_terms: means nothing without an https address in %s, such as https://:443", s.nameOf("listen"))
	case acme.Enabled() && acme.Challenges == config.ChallengesHTTP && !s.speaks(protocolHTTP):
		return fmt.Errorf("acme.challenges: is http, and there is no address without TLS in %s, such as :80, where the certificate authority would ask", s.nameOf("listen"))
	case secure && !acme.Enabled() && !slices.ContainsFunc(s.Sites, func(site *config.HostedSite) bool { return len(site.TLS.Certificates) > 0 }):
		return fmt.Errorf("listen: there is an https address, and no certificate: name its file with %s, or have one obtained with %s", s.nameOf("tls.certificate"), s.nameOf("acme.agree_terms"))
	case !secure && s.Server.TLS.RedirectPort != 0:
		return fmt.Errorf("tls.redirect_port: means nothing without an https address in %s", s.nameOf("listen"))
	}
	return nil
}

// checkSiteTLS refuses settings of a site without effect.
func (s *setup) checkSiteTLS(site *config.HostedSite) error {
	if s.speaks(protocolHTTPS) {
		return nil
	}
	for key, given := range map[string]bool{"certificate": len(site.TLS.Certificates) > 0, "hsts": site.TLS.HSTS > 0} {
		if given {
			return fmt.Errorf("tls.%s: means nothing without an https address in %s, such as https://:443", key, s.nameOf("listen"))
		}
	}
	return nil
}

// readCertificates reads the files of all sites, and returns what is wrong with them.
func (s *server) readCertificates(g *generation) (wrong []error) {
	for i, site := range g.Sites {
		s.pace.pause()
		fits := len(site.TLS.Certificates) == 0
		for n, file := range site.TLS.Certificates {
			key := ""
			if len(site.TLS.Keys) > 0 {
				key = site.TLS.Keys[n]
			}
			p, err := s.certs.ReadPair(file, key)
			if err != nil {
				wrong = append(wrong, g.SiteError(i, fileError("tls.certificate", "tls.key", err)))
				continue
			}
			g.pairs = append(g.pairs, p)
			if text := p.Warning(time.Now()); text != "" {
				g.notes = append(g.notes, g.SiteError(i, errors.New("tls.certificate: "+text)))
			}
			fits = fits || len(site.Hosts) == 0 || slices.ContainsFunc(site.Hosts, p.Fits)
		}
		if !fits && len(wrong) == 0 {
			g.notes = append(g.notes, g.SiteError(i, fmt.Errorf("tls.certificate: it is for none of the site's hosts, %s: browsers will refuse it", strings.Join(site.Hosts, ", "))))
		}
	}
	return wrong
}

// fileError begins an error about a file with the key that names the file.
func fileError(certificate, key string, err error) error {
	of, ok := errors.AsType[*certs.FileError](err)
	switch {
	case !ok:
		return err
	case of.OfKey:
		certificate = key
	}
	return fmt.Errorf("%s %q: %w", certificate, of.File, of.Err)
}

// authority sets where the certificates of a generation are obtained.
func (s *server) authority(g *generation) error {
	settings := &g.Server.ACME
	if !settings.Enabled() {
		return nil
	}
	a := &certs.ACME{
		CA: settings.CA, Email: settings.Email, RootFile: settings.CARoot, Directory: settings.Directory,
		Advice: "see that the name leads to this machine, and that the certificate authority reaches port 80 (HTTP-01) or 443 (TLS-ALPN-01) here, and is reached itself; other sites are served meanwhile",
	}
	if s.reach != nil {
		a.HTTPPort, a.TLSPort, a.Host = s.reach.http, s.reach.tls, s.reach.host
		switch settings.Challenges {
		case config.ChallengesHTTP:
			a.TLSPort = 0
		case config.ChallengesTLSALPN:
			a.HTTPPort = 0
		case config.ChallengesAny:
		}
		if a.HTTPPort == 0 && a.TLSPort == 0 {
			return fmt.Errorf("acme.challenges: is %s, and no TCP address in %s answers that; add :80, or https://:443", settings.Challenges, g.nameOf("listen"))
		}
	}
	if a.Directory == "" {
		a.Directory = filepath.Join(stateDirectory(), "acme")
	}
	if a.RootFile != "" {
		roots, err := certs.ReadRoots(a.RootFile)
		if err != nil {
			return fileError("acme.ca_root", "", err)
		}
		a.Roots = roots
	}
	names := slices.Clone(settings.Names)
	for i, site := range g.Sites {
		if site.TLS.ACME == config.Off || len(site.TLS.Certificates) > 0 {
			continue
		}
		own, others := certs.Names(site.Hosts)
		names = append(names, own...)
		for _, host := range others {
			if !g.hasCertificate(host) {
				g.notes = append(g.notes, g.SiteError(i, fmt.Errorf("hosts: no certificate is obtained for %s, because it is no single name; give the site tls.certificate, or name the hosts in %s", host, g.nameOf("acme.names"))))
			}
		}
	}
	for _, name := range names {
		if name = config.CanonicalHost(name); !slices.Contains(a.Names, name) && !g.hasCertificate(name) {
			a.Names = append(a.Names, name)
		}
	}
	if len(a.Names) == 0 {
		return fmt.Errorf("acme.agree_terms: is on, and there is no host to obtain a certificate for: give the sites hosts, or name them with %s", g.nameOf("acme.names"))
	}
	g.acme = a
	return nil
}

// hasCertificate reports whether a certificate in a file is for a host.
func (g *generation) hasCertificate(host string) bool {
	return slices.ContainsFunc(g.pairs, func(p *certs.Pair) bool { return p.Fits(host) })
}

// stateDirectory is what systemd has made for this service, or what it would be called.
func stateDirectory() string {
	dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	return cmp.Or(dir, "/var/lib/sluice")
}

// challengeAddress is where a certificate authority's challenges arrive; port 0: there is no such
// address.
type challengeAddress struct {
	host      string // "": any
	http, tls int
}

// reachable returns where clients and certificate authorities reach the addresses of listen.
func (c *socketChange) reachable(of *setup) (reach *challengeAddress, securePort int) {
	opened := c.listeners(protocolHTTPS)
	plain, secure := firstTCP(c.listeners(protocolHTTP)), firstTCP(opened)
	reach = new(challengeAddress)
	if plain != nil {
		reach.http = plain.Port
	}
	if len(opened) == 0 {
		return reach, 0
	}
	securePort = 443 // of a unix socket, others know the port
	if secure != nil {
		reach.tls, securePort = secure.Port, secure.Port
	}
	if of.Server.TLS.RedirectPort != 0 {
		securePort = of.Server.TLS.RedirectPort
	}
	// A look whether the addresses are in use, before a challenge, is made at one host.
	if one := cmp.Or(secure, plain); one != nil && !one.IP.IsUnspecified() && (plain == nil || secure == nil || plain.IP.Equal(secure.IP)) {
		reach.host = one.IP.String()
	}
	return reach, securePort
}

func firstTCP(list []net.Listener) *net.TCPAddr {
	for _, l := range list {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			return tcp
		}
	}
	return nil
}

// tlsConfig is for TLS connections that begin from now on. Certificates are asked for with each handshake,
// so reloads change nothing there.
func (s *frontServer) tlsConfig(c *setup) *tls.Config {
	cfg := &tls.Config{
		GetCertificate: s.certs.GetCertificate,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{tlsfront.HTTP2, tlsfront.HTTP1, tlsfront.HTTP10, tlsfront.ACME},
	}
	if c.Server.TLS.MinVersion == config.TLS13 {
		cfg.MinVersion = tls.VersionTLS13
	}
	if c.Server.TLS.HTTP == config.HTTP11 {
		cfg.NextProtos = cfg.NextProtos[1:]
	}
	return cfg
}

// hstsOf returns the value of Strict-Transport-Security (RFC 6797), "" for none.
func hstsOf(t *config.SiteTLS) string {
	if t.HSTS == 0 {
		return ""
	}
	value := "max-age=" + strconv.FormatInt(int64(time.Duration(t.HSTS)/time.Second), 10)
	if t.HSTSSubdomains == config.On {
		value += "; includeSubDomains"
	}
	if t.HSTSPreload == config.On {
		value += "; preload"
	}
	return value
}

// hstsWriter sets Strict-Transport-Security, unless the application has done so.
type hstsWriter struct {
	http.ResponseWriter
	value string
	begun bool // the final header is there
}

// Unwrap is for http.ResponseController.
func (w *hstsWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *hstsWriter) WriteHeader(status int) {
	if h := w.Header(); status >= 200 && !w.begun {
		w.begun = true
		if h["Strict-Transport-Security"] == nil {
			h["Strict-Transport-Security"] = []string{w.value}
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *hstsWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// challengePath is where a certificate authority asks over HTTP (RFC 8555, section 8.3).
const challengePath = "/.well-known/acme-challenge/"

func (f *front) isChallenge(r *http.Request) bool {
	return f.securePort.Load() > 0 && r.TLS == nil && strings.HasPrefix(r.URL.Path, challengePath)
}

// challenge answers a certificate authority, and reports whether it was one that has asked.
func (f *front) challenge(w http.ResponseWriter, r *http.Request) bool {
	return f.isChallenge(r) && f.certs.HandleChallenge(w, r)
}

// redirects reports whether a request is to be made again over TLS. A trusted proxy decides by itself,
// for it knows how its client has asked. What is malformed is refused by the bridge: of "http:@other.test" and
// the like, the redirect would lead to another host.
func (f *front) redirects(g *generation, s *site, r *http.Request) bool {
	if f.securePort.Load() == 0 || r.TLS != nil || s.setting.TLS.Redirect != config.On || r.RequestURI == "*" || g.trusts(peerOf(r)) {
		return false
	}
	_, err := cgi.CleanPath(r)
	return err == nil
}

// peerOf returns the address of the peer, the zero Addr for a unix socket.
func peerOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// redirect answers with the https address of the same. GET and HEAD get 301, which everybody knows;
// for others only 308 says that the method and the body stay the same.
func (f *front) redirect(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	if host == "" {
		f.answer(w, r, http.StatusBadRequest, "This site is served over TLS (https) only, and the request names no Host that it could be redirected to.")
		return
	}
	if port := f.securePort.Load(); port != 443 {
		host += ":" + strconv.Itoa(int(port))
	}
	status := http.StatusMovedPermanently
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		status = http.StatusPermanentRedirect
	}
	to := "https://" + host + r.URL.RequestURI()
	w.Header().Set("Location", to)
	f.answer(w, r, status, to)
}
