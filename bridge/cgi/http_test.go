package cgi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/http1"
)

// message returns what an application that speaks HTTP is sent: the request line, the host,
// and the fields in order.
func message(t *testing.T, cfg Config, r *http.Request, change func(*Client)) string {
	t.Helper()
	m := newMapper(t, cfg)
	c := m.Client(r)
	if change != nil {
		change(&c)
	}
	var got http1.Request
	if err := m.HTTP(&got, r, &c, r.ContentLength); err != nil {
		return err.Error()
	}
	lines := []string{got.Method + " " + got.Target + " " + got.Host}
	for _, f := range got.Fields {
		lines = append(lines, f.Name+": "+f.Value)
	}
	slices.Sort(lines[1:])
	if got.Upgrade != "" {
		lines = append(lines, "-> "+got.Upgrade)
	}
	return strings.Join(lines, "\n")
}

func asked(target string, fields ...string) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	r.Host = "example.org"
	r.RemoteAddr = "192.0.2.1:4711"
	for i := 0; i < len(fields); i += 2 {
		r.Header[fields[i]] = append(r.Header[fields[i]], fields[i+1])
	}
	return r
}

const usual = "\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-Host: example.org\nX-Forwarded-Port: 80\nX-Forwarded-Proto: http"

func TestHTTP(t *testing.T) {
	proxy := Config{TrustedProxies: []string{"192.0.2.1"}, UserHeader: "X-Login", PassUser: "X-Remote-User"}
	websocket := []string{"Connection", "keep-alive, Upgrade", "Upgrade", "WebSocket", "Sec-Websocket-Key", "x"}
	for name, c := range map[string]struct {
		cfg    Config
		r      *http.Request
		change func(*Client)
		want   string
	}{
		"as it is":            {Config{}, asked("/a//b?c=%20d&e"), nil, "GET /a//b?c=%20d&e example.org" + usual},
		"dot segments":        {Config{}, asked("/a/%2e%2e/b%20c?d"), nil, "GET /b%20c?d example.org" + usual},
		"hidden":              {Config{Hide: []string{"/b"}}, asked("/a/../b"), nil, `cgi: request refused with 404: path "/b" is hidden`},
		"outside":             {Config{Mount: "/app"}, asked("/b"), nil, `cgi: request refused with 404: path "/b" is outside the mount "/app"`},
		"below the mount":     {Config{Mount: "/app"}, asked("/app/b"), nil, "GET /app/b example.org" + usual},
		"several lines":       {Config{}, asked("/", "Accept", "a", "Accept", "b", "Cookie", "c=d", "Cookie", "e=f"), nil, "GET / example.org\nAccept: a\nAccept: b\nCookie: c=d; e=f" + usual},
		"of the connection":   {Config{}, asked("/", "Connection", "X-A, close", "X-A", "1", "Keep-Alive", "1", "Te", "trailers", "Trailer", "x", "Transfer-Encoding", "chunked", "Upgrade", "h2c", "Http2-Settings", "x", "Proxy-Connection", "x", "Expect", "100-continue", "Content-Length", "5"), nil, "GET / example.org" + usual},
		"dangerous":           {Config{}, asked("/", "Proxy", "x", "X_Forwarded_For", "1.2.3.4", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Prefix", "/x", "Forwarded", "for=1.2.3.4", "X-Real-Ip", "1.2.3.4", "Proxy-Authorization", "x"), nil, "GET / example.org" + usual},
		"a type":              {Config{}, asked("/", "Content-Type", "a/b", "Content-Type", "c/d", "Content-Encoding", "x"), nil, "GET / example.org\nContent-Encoding: x\nContent-Type: a/b" + usual},
		"a proxy":             {proxy, asked("/", "X-Forwarded-For", "6.6.6.6, 198.51.100.7", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "www.example.org", "X-Forwarded-Prefix", "/x", "X-Login", "joe"), nil, "GET / www.example.org\nX-Forwarded-For: 198.51.100.7\nX-Forwarded-Host: www.example.org\nX-Forwarded-Port: 443\nX-Forwarded-Prefix: /x\nX-Forwarded-Proto: https\nX-Remote-User: joe"},
		"a client's user":     {Config{PassUser: "X-Remote-User", UserHeader: "X-Login"}, asked("/", "X-Remote-User", "root", "X-Login", "root", "X_remote_user", "root"), nil, "GET / example.org" + usual},
		"a user":              {Config{PassUser: "remote-user"}, asked("/", "Authorization", "Basic x", "Remote-User", "root"), func(c *Client) { c.User, c.Verified = "joe", true }, "GET / example.org\nRemote-User: joe" + usual},
		"credentials":         {Config{}, asked("/", "Authorization", "Basic x"), nil, "GET / example.org\nAuthorization: Basic x" + usual},
		"an evil user":        {Config{PassUser: "X-User"}, asked("/"), func(c *Client) { c.User = "a\r\nX: y" }, `cgi: request refused with 400: X-User "a\r\nX: y" holds NUL, CR or LF`},
		"no address":          {Config{}, asked("/"), func(c *Client) { c.Addr = unixClient }, "GET / example.org" + strings.Replace(usual, "\nX-Forwarded-For: 192.0.2.1", "", 1)},
		"with an underscore":  {Config{UnderscoreHeaders: []string{"api_key"}}, asked("/", "Api_key", "x", "Api-Key", "y"), nil, "GET / example.org\nApi_key: x" + usual},
		"a websocket":         {Config{}, asked("/", websocket...), nil, "GET / example.org\nSec-Websocket-Key: x" + usual + "\n-> websocket"},
		"upgrade to another":  {Config{}, asked("/", "Connection", "Upgrade", "Upgrade", "h2c"), nil, "GET / example.org" + usual},
		"upgrade unconnected": {Config{}, asked("/", "Upgrade", "websocket"), nil, "GET / example.org" + usual},
	} {
		if got := message(t, c.cfg, c.r, c.change); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, c.want)
		}
	}
}

// A handler in front has led the request elsewhere: the application is asked for what was looked at.
func TestHTTPRewrittenInFront(t *testing.T) {
	hide := Config{Hide: []string{"/secret"}}
	for _, c := range []struct {
		cfg        Config
		asked, now string
		want       string
	}{
		{Config{}, "/old/x?a", "/new?b", "GET /new?b"},
		{Config{}, "/app/x%2Fy?a=%20", "/x%2Fy?a=%20", "GET /x%2Fy?a=%20"},
		{Config{}, "/x?a", "/x?b", "GET /x?b"},
		{Config{}, "/x", "/x?", "GET /x"},
		{Config{}, "/app", "", "GET /"},
		{Config{}, "/a/../b", "/c", "GET /c"},
		{Config{}, "/a", "/c/../b%20", "GET /b%20"},
		{hide, "/secret", "/c", "GET /c"},
		{hide, "/c", "/secret", `cgi: request refused with 404: path "/secret" is hidden`},
		{Config{}, "http://example.org?a", "http://example.org?a", "GET /?a"},
		{Config{}, "/%41%2f", "/A/", "GET /%41%2f"}, // the same, as the client has written it
	} {
		r := asked(c.asked)
		u, err := url.Parse(c.now)
		if err != nil {
			t.Fatal(err)
		}
		r.URL = u
		if got, _, _ := strings.Cut(message(t, c.cfg, r, nil), " example.org"); got != c.want {
			t.Errorf("%s, now %s: %s, want %s", c.asked, c.now, got, c.want)
		}
	}
}

func TestPassUser(t *testing.T) {
	for name, want := range map[string]string{
		"X_User":        `cgi: pass_user "X_User": a name is letters, digits and hyphens`,
		"Authorization": `cgi: pass_user "Authorization": has a meaning of its own (name a field that only the proxy sets, such as X-Remote-User)`,
	} {
		if _, err := NewMapper(Config{PassUser: name}); fmt.Sprint(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
