package bridge

import (
	"fmt"
	"hash/maphash"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// keyKind is what a flow is known by.
type keyKind uint8

const (
	keyAuto keyKind = iota
	keyCookie
	keyHeader
	keyUser
	keyClient
	keyOff
	keyKinds
)

// flowKey is FlowConfig.Key.
type flowKey struct {
	kind keyKind
	name string // of the cookie, or the header in its canonical form
}

func parseFlowKey(text string) (flowKey, error) {
	word, name, _ := strings.Cut(strings.TrimSpace(text), " ")
	name = strings.TrimSpace(name)
	switch word {
	case "cookie", "header":
		switch {
		case name == "":
			return flowKey{}, fmt.Errorf("is %q, and lacks the %s's name", text, word)
		case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }):
			return flowKey{}, fmt.Errorf("%q is no name of a %s", name, word)
		case word == "cookie":
			return flowKey{keyCookie, name}, nil
		}
		return flowKey{keyHeader, textproto.CanonicalMIMEHeaderKey(name)}, nil
	}
	kinds := map[string]keyKind{"": keyAuto, "auto": keyAuto, "user": keyUser, "client": keyClient, "off": keyOff}
	kind, ok := kinds[word]
	if !ok || name != "" {
		return flowKey{}, fmt.Errorf("is %q, want auto, cookie NAME, header NAME, user, client or off", text)
	}
	return flowKey{kind: kind}, nil
}

// flows turns what requests are known by into numbers, which mean nothing outside
// this process: whoever sees them learns no session, and nobody can make two the same.
type flows struct {
	key   flowKey
	seeds flowSeeds
}

// flowSeeds are one for each kind, so that equal texts of two kinds differ.
type flowSeeds [keyKinds]maphash.Seed

// newFlowSeeds returns those of a site. Users of two sites are not the same, clients are.
func newFlowSeeds(client maphash.Seed) (seeds flowSeeds) {
	for i := range seeds {
		seeds[i] = maphash.MakeSeed()
	}
	seeds[keyClient] = client
	return seeds
}

func newFlows(key string, seeds flowSeeds) (*flows, error) {
	k, err := parseFlowKey(key)
	if err != nil {
		return nil, err
	}
	return &flows{key: k, seeds: seeds}, nil
}

// of returns r's flow, 0 if it is nobody's, and whether it may be many people's.
func (f *flows) of(r *http.Request, c *cgi.Client) (flow uint64, shared bool) {
	kind, text := f.key.kind, ""
	switch kind {
	case keyOff:
		return 0, false
	case keyClient:
		return f.address(c.Addr), false
	case keyAuto:
		if text = sessionOf(r.Header["Cookie"]); text != "" {
			kind = keyCookie
		} else {
			kind, text = keyUser, c.User
		}
	case keyCookie:
		text = cookie(r.Header["Cookie"], f.key.name)
	case keyHeader:
		if v := r.Header[f.key.name]; len(v) > 0 {
			text = v[0]
		}
	case keyUser:
		if text = c.User; text == "" {
			text = credentials(r.Header["Authorization"])
		}
	}
	if text == "" {
		return f.address(c.Addr), true
	}
	return f.hash(kind, text), false
}

// address returns the flow of a client that is known by its address alone. A household
// or a machine has 64 bits of IPv6 addresses to itself. It is 0 if there is none: a
// proxy on a unix socket that does not say whom it speaks for.
func (f *flows) address(addr string) uint64 {
	if addr == "" || addr == "unix:" {
		return 0
	}
	if strings.IndexByte(addr, ':') >= 0 {
		if ip, err := netip.ParseAddr(addr); err == nil && ip.Is6() {
			b := ip.As16()
			return max(1, maphash.Bytes(f.seeds[keyClient], b[:8]))
		}
	}
	return f.hash(keyClient, addr)
}

func (f *flows) hash(kind keyKind, text string) uint64 {
	return max(1, maphash.String(f.seeds[kind], text)) // 0 is nobody's
}

// credentials returns what a client sends with each request to say who it is, "" if
// that is not the same each time. The name alone would not do: anybody can send it.
func credentials(authorization []string) string {
	if len(authorization) == 0 {
		return ""
	}
	scheme, text, _ := strings.Cut(authorization[0], " ")
	if strings.EqualFold(scheme, "Basic") || strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(text)
	}
	return ""
}

// sessionCookies are the cookies that "auto" goes by, the most telling first: one that
// stands for an account before one for a browser, a name that means nothing else
// before one that might. The names of MediaWiki's and WordPress's differ from site to
// site: sessionOf knows them by their end, or beginning.
var sessionCookies = [...]string{
	"trac_auth", "PHPSESSID", "DokuWiki", "JSESSIONID", "ASP.NET_SessionId", "CGISESSID", "pysid", "trac_session",
	"connect.sid", "laravel_session", "ci_session", "_session_id", "beaker.session.id", "rack.session", "mojolicious",
	"TWISTED_SESSION", "_ZopeId", "FOSWIKISID", "TWIKISID", "roundcube_sessid", "SQMSESSID", "Bugzilla_logincookie",
	"sessionid", "session_id", "session", "SESSIONID", "sid", "SID",
}

// shortestSession is the length of a value that "auto" takes for a session's, in
// characters. What is shorter may be the same for many, such as "1" or "guest".
const shortestSession = 12

// sessionOf returns the value of the first of sessionCookies that there is.
func sessionOf(lines []string) string {
	rank, session := len(sessionCookies), ""
	for _, line := range lines {
		for line != "" {
			var name, value string
			name, value, line = nextCookie(line)
			if len(value) < shortestSession {
				continue
			}
			if i := slices.Index(sessionCookies[:rank], name); i >= 0 {
				rank, session = i, value
			} else if session == "" && (strings.HasSuffix(name, "_session") || strings.HasPrefix(name, "wordpress_logged_in_")) {
				session = value
			}
		}
	}
	return session
}

// cookie returns the value of the first cookie with that name. Of several, browsers
// send the one with the longest path first.
func cookie(lines []string, want string) string {
	for _, line := range lines {
		for line != "" {
			var name, value string
			if name, value, line = nextCookie(line); name == want && value != "" {
				return value
			}
		}
	}
	return ""
}

// nextCookie takes the first cookie off a Cookie field. net/http's own parser
// allocates for each.
func nextCookie(line string) (name, value, rest string) {
	pair, rest, _ := strings.Cut(line, ";")
	name, value, _ = strings.Cut(strings.TrimSpace(pair), "=")
	if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	return name, value, rest
}
