package caddyplugin

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// identify completes c with Caddy's data about the client: its address behind one of the server's
// trusted_proxies, and the user who has logged in. The application does not get a password that Caddy has
// checked.
func identify(r *http.Request, c *cgi.Client) {
	if !c.Trusted {
		throughProxy(r, c)
	}
	_, c.Relayed = reverseproxy.GetDialInfo(r.Context())
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	if user, _ := repl.GetString("http.auth.user.id"); user != "" {
		c.User, c.AuthType = user, cgi.AuthType(r)
		name, _, basic := r.BasicAuth()
		c.Verified = basic && name == user
	}
}

func throughProxy(r *http.Request, c *cgi.Client) {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if trusted, _ := vars[caddyhttp.TrustedProxyVarKey].(bool); !trusted {
		return
	}
	if addr, _ := vars[caddyhttp.ClientIPVarKey].(string); addr != "" && addr != c.Addr {
		c.Addr, _, _ = strings.Cut(addr, "%")
		c.Port = "" // the port is the proxy's
	}
	c.ThroughProxy(r)
}

// expand replaces the placeholders of r in the value of a CGI variable.
func expand(r *http.Request, value string) string {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok || !strings.Contains(value, "{") {
		return value
	}
	return repl.ReplaceKnown(value, "")
}
