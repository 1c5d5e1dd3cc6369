package cgi

import (
	"crypto/tls"
	"net/http"
	"strings"
)

// openSSLNames has the names of cipher suites that OpenSSL, and so mod_ssl, does not call as
// tls.CipherSuiteName does: those before TLS 1.3 that servers in Go choose.
var openSSLNames = map[uint16]string{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          "ECDHE-ECDSA-AES128-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          "ECDHE-ECDSA-AES256-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:            "ECDHE-RSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
}

// secure emits SSL_PROTOCOL and SSL_CIPHER, as mod_ssl does, for a client whose own connection this is.
// What a proxy's client has used is not known.
func (b *builder) secure(r *http.Request, c *Client) {
	if r.TLS == nil || r.TLS.Version == 0 || c.Trusted {
		return
	}
	version := strings.TrimSuffix(strings.ReplaceAll(tls.VersionName(r.TLS.Version), "TLS ", "TLSv"), ".0") // TLS 1.0 is TLSv1 there
	b.putOwn("SSL_PROTOCOL", version)
	name, ok := openSSLNames[r.TLS.CipherSuite]
	if !ok {
		name = tls.CipherSuiteName(r.TLS.CipherSuite)
	}
	b.putOwn("SSL_CIPHER", name)
}
