package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// ServerTLS holds what all TLS connections of a Server have in common.
type ServerTLS struct {
	MinVersion   TLSVersion `key:"min_version" words:"1.2 1.3" doc:"least version of TLS: 1.2 or 1.3"`
	RedirectPort int        `key:"redirect_port" most:"65535" least:"1" otherwise:"that of the first https address in {listen}" doc:"port at which clients reach the https address, for redirects to it; it differs where a container or a load balancer maps ports"`
	HTTP         TLSHTTP    `key:"http" words:"any 1.1" doc:"versions of HTTP over TLS: any, which are HTTP/2 and HTTP/1.1, or 1.1 alone"`
}

// TLSHTTP is which versions of HTTP are spoken over TLS.
type TLSHTTP string

// The values of a TLSHTTP.
const (
	AnyHTTP TLSHTTP = "any"
	HTTP11  TLSHTTP = "1.1"
)

// TLSVersion is a version of TLS.
type TLSVersion string

// The values of a TLSVersion.
const (
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

// ACME says from which certificate authority certificates are obtained. It is a part of a Server.
type ACME struct {
	AgreeTerms Switch     `key:"agree_terms" words:"off on" bare:"on" doc:"on: you agree to the terms of service of {acme.ca}, and certificates are obtained there for the hosts of all sites that have none of their own"`
	Email      string     `key:"email" value:"ADDRESS" otherwise:"none" doc:"mail ADDRESS that the certificate authority may write to"`
	CA         string     `key:"ca" value:"URL" default:"https://acme-v02.api.letsencrypt.org/directory" doc:"URL of the directory of the certificate authority; the default is that of Let's Encrypt"`
	CARoot     string     `key:"ca_root" value:"FILE" otherwise:"those of the system" doc:"FILE with the root certificates that {acme.ca} itself is trusted by, for one of your own"`
	Directory  string     `key:"directory" value:"DIR" otherwise:"acme in the state directory: that of systemd, or /var/lib/sluice" doc:"DIR for keys, certificates and accounts; it is made with the mode 0700"`
	Challenges Challenges `key:"challenges" words:"any http tls-alpn" doc:"how the certificate authority finds out that a host leads here: http (HTTP-01, at port 80), tls-alpn (TLS-ALPN-01, at port 443), or any"`
	Names      []string   `key:"names" flag:"acme-name" value:"NAME" otherwise:"none" doc:"further host NAME to have a certificate for, besides the hosts of sites"`
}

// Challenges are the ways in which a certificate authority finds out that a host leads here.
type Challenges string

// The values of Challenges.
const (
	ChallengesAny     Challenges = "any"
	ChallengesHTTP    Challenges = "http"
	ChallengesTLSALPN Challenges = "tls-alpn"
)

// Enabled reports whether certificates are obtained.
func (a *ACME) Enabled() bool { return a.AgreeTerms == On }

// check refuses settings without effect, and values that cannot be right.
func (a *ACME) check() error {
	for key, given := range map[string]bool{"email": a.Email != "", "ca_root": a.CARoot != "", "directory": a.Directory != "", "names": len(a.Names) > 0} {
		if given && !a.Enabled() {
			return fmt.Errorf("acme.%s: means nothing without acme.agree_terms on: read the terms of service of %s, and say that you agree", key, a.CA)
		}
	}
	if ca, err := url.Parse(a.CA); err != nil || ca.Scheme != "https" || ca.Host == "" {
		return fmt.Errorf("acme.ca: is %q, want the URL of an ACME directory, such as https://ca.example.org/acme/acme/directory", a.CA)
	}
	if a.Email != "" && (!strings.Contains(a.Email, "@") || strings.ContainsAny(a.Email, " ,:")) {
		return fmt.Errorf("acme.email: is %q, want one mail address, such as admin@example.org", a.Email)
	}
	for _, name := range a.Names {
		if err := checkHost(name); err != nil {
			return fmt.Errorf("acme.names: %w", err)
		}
		if strings.HasPrefix(name, "*.") {
			return fmt.Errorf("acme.names: %q: is a pattern, for which certificates need DNS-01, which is not spoken here; name each host, or give the site tls.certificate", name)
		}
	}
	return nil
}

// SiteTLS holds what a site has of its own over TLS. It is a part of a HostedSite.
type SiteTLS struct {
	Certificates []string `key:"certificate" value:"FILE" otherwise:"that of another site which fits the host, or by acme" doc:"PEM FILE with the site's certificate and its chain, and with the key unless {tls.key} has it; read again when it changes"`
	Keys         []string `key:"key" value:"FILE" otherwise:"in the certificate's file" doc:"PEM FILE with the key, one for each {tls.certificate}, in their order"`
	ACME         Switch   `key:"acme" words:"on off" doc:"off: no certificate is obtained for the hosts of this site"`
	Redirect     Switch   `key:"redirect" words:"on off" doc:"on: requests without TLS are redirected to https, if there is an https address in listen"`

	HSTS           Duration `key:"hsts" zero:"off" doc:"TIME for which browsers are told to ask for this site by https only (Strict-Transport-Security), such as 365d"`
	HSTSSubdomains Switch   `key:"hsts_subdomains" words:"off on" bare:"on" doc:"on: also for all names below the host"`
	HSTSPreload    Switch   `key:"hsts_preload" words:"off on" bare:"on" doc:"on: browsers may have it built in; the list of these is hard to leave"`
}

// preloadLeast is the least HSTS that lists of browsers take.
const preloadLeast = Duration(365 * 24 * time.Hour)

// check refuses settings without effect.
func (t *SiteTLS) check() error {
	switch {
	case len(t.Keys) > 0 && len(t.Keys) != len(t.Certificates):
		return fmt.Errorf("tls.key: there are %d, and %d of tls.certificate: want one for each, or none if the certificates' files have them", len(t.Keys), len(t.Certificates))
	case t.HSTS == 0 && t.HSTSSubdomains == On:
		return errors.New("tls.hsts_subdomains: means nothing without tls.hsts")
	case t.HSTS == 0 && t.HSTSPreload == On:
		return errors.New("tls.hsts_preload: means nothing without tls.hsts")
	case t.HSTSPreload == On && (t.HSTS < preloadLeast || t.HSTSSubdomains != On):
		return errors.New("tls.hsts_preload: browsers want tls.hsts of 365d at least, and tls.hsts_subdomains on")
	}
	return nil
}
