package status

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Guard passes requests on to next if their Host field is an IP address, localhost, or in
// names ("*" is any host), and answers others with 421. It protects from DNS rebinding: a
// web page can make its own host name resolve to this machine, and would be allowed to read
// the answers. refused, if it is not nil, is called with each host that was refused.
//
// Requests over unix sockets, which no browser makes, may have any host.
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
		return true // no Host: HTTP/1.0, which browsers do not speak
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

// Hostname is the host of "host", "host:port" or "[address]:port", without a dot at its
// end.
func Hostname(hostport string) string {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.Trim(host, "[]"), ".")
}
