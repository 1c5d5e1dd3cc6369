package status

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Guard passes a request to next if its Host field is an IP address, localhost, or in names ("*" is
// any host). It answers other requests with 421. This protects against DNS rebinding: a web page
// can make its own host name resolve to this machine, and could then read the answers. If refused
// is not nil, Guard calls it with each host that it has refused.
//
// Requests over unix sockets may have any host, because browsers do not use these.
func Guard(next http.Handler, names []string, refused func(host string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if knows(names, r) {
			next.ServeHTTP(w, r)
			return
		}
		if refused != nil {
			refused(r.Host)
		}
		http.Error(w, fmt.Sprintf("421 Misdirected Request: this server does not know the host %.200q: use its address, localhost, or a name given with --status-host", r.Host), http.StatusMisdirectedRequest)
	})
}

func knows(names []string, r *http.Request) bool {
	if _, unix := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr); unix {
		return true
	}
	host := Hostname(r.Host)
	if host == "" || strings.EqualFold(host, "localhost") {
		return true // no Host: HTTP/1.0, which browsers do not use
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for _, name := range names {
		if name == "*" || strings.EqualFold(host, Hostname(name)) {
			return true
		}
	}
	return false
}

// Hostname returns the host of "host", "host:port" or "[address]:port", without a final dot.
func Hostname(hostport string) string {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.Trim(host, "[]"), ".")
}
