package classify

import (
	"slices"
	"strings"
)

// sessionCookies are the names of the session cookies that "auto" looks for, the best first:
// the cookie of an account before the cookie of a browser, and a name that one application
// uses before a common word. MediaWiki's and WordPress's names differ from site to site:
// sessionOf recognizes their beginning or end.
var sessionCookies = [...]string{
	"trac_auth", "PHPSESSID", "DokuWiki", "JSESSIONID", "ASP.NET_SessionId", "CGISESSID", "pysid", "trac_session",
	"connect.sid", "laravel_session", "ci_session", "_session_id", "beaker.session.id", "rack.session", "mojolicious",
	"TWISTED_SESSION", "_ZopeId", "FOSWIKISID", "TWIKISID", "roundcube_sessid", "SQMSESSID", "Bugzilla_logincookie",
	"sessionid", "session_id", "session", "SESSIONID", "sid", "SID",
}

// shortestSession is the least length, in characters, of a value that "auto" takes for a
// session's. A shorter one may be the same for many people, such as "1" or "guest".
const shortestSession = 12

// sessionOf returns the value of the best session cookie in the lines of a Cookie field, ""
// if there is none.
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

// cookie returns the value of the first cookie with the name want, "" if there is none. Of
// several, browsers send the one with the longest path first.
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

// nextCookie takes the first cookie off a line that is not empty. net/http's parser allocates
// memory for each cookie.
func nextCookie(line string) (name, value, rest string) {
	pair, rest, _ := strings.Cut(line, ";")
	name, value, _ = strings.Cut(strings.TrimSpace(pair), "=")
	if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	return name, value, rest
}
