package status

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Guard answers requests that name a host which is not known with 421, and next answers
// the others. A web page can make its own name lead to this machine (DNS rebinding), and
// would read the answers as its own. It cannot do that with IP addresses, localhost, or a
// name that only we have: those in names. "*" is any. Refused, if it is not nil, is called
// with what was refused.
//
// Requests over unix sockets, which no browser makes, may name any host.
func Guard(next http.Handler, names []string, refused func(host string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if knows(names, r) {
			next.ServeHTTP(w, r)
			return
		}
		if refused != nil {
			refused(r.Host)
		}
		http.Error(w, fmt.Sprintf("421 Misdirected Request: %.200q is no name of this server: ask by its address, as localhost, or by a name that it was told (--status-host)", r.Host), http.StatusMisdirectedRequest)
	})
}

func knows(names []string, r *http.Request) bool {
	if _, unix := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr); unix {
		return true
	}
	host := Hostname(r.Host)
	if host == "" || strings.EqualFold(host, "localhost") {
		return true // none: HTTP/1.0, which browsers do not speak
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
