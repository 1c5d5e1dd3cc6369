package cgi

import (
	"bufio"
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/http1"
)

// question returns what an authorizer is asked about r in HTTP, the fields in order.
func question(t *testing.T, cfg Config, r *http.Request, target string, fields ...string) string {
	t.Helper()
	m := newMapper(t, cfg)
	c := m.Client(r)
	var got http1.Request
	if err := m.AuthorizerHTTP(&got, r, &c, target, fields); err != nil {
		return err.Error()
	}
	lines := []string{got.Method + " " + got.Target + " " + got.Host}
	for _, f := range got.Fields {
		lines = append(lines, f.Name+": "+f.Value)
	}
	slices.Sort(lines[1:])
	if got.Upgrade != "" || got.Length != 0 {
		t.Errorf("upgrade %q, %d bytes", got.Upgrade, got.Length)
	}
	return strings.Join(lines, "\n")
}

func TestAuthorizerHTTP(t *testing.T) {
	const about = "\nX-Forwarded-For: 192.0.2.1\nX-Forwarded-Host: example.org\nX-Forwarded-Method: GET\nX-Forwarded-Port: 80\nX-Forwarded-Proto: http\nX-Forwarded-Uri: /a?b\nX-Original-Method: GET\nX-Original-URI: /a?b\nX-Original-URL: http://example.org/a?b\nX-Real-IP: 192.0.2.1"
	for name, c := range map[string]struct {
		cfg    Config
		r      *http.Request
		fields []string
		want   string
	}{
		"as it is":          {Config{}, asked("/a?b", "Accept", "x", "Authorization", "Bearer x"), nil, "GET /auth example.org\nAccept: x\nAuthorization: Bearer x" + about},
		"some fields":       {Config{}, asked("/a?b", "Accept", "x", "Cookie", "y"), []string{"Cookie"}, "GET /auth example.org\nCookie: y" + about},
		"dot segments":      {Config{}, asked("/x/../a?b"), nil, "GET /auth example.org" + about},
		"an upgrade":        {Config{}, asked("/a?b", "Connection", "Upgrade", "Upgrade", "websocket"), nil, "GET /auth example.org" + about},
		"of the body":       {Config{}, asked("/a?b", "Content-Type", "x", "Content-Encoding", "x", "Range", "bytes=0-", "If-Modified-Since", "x", "If-Match", "x"), nil, "GET /auth example.org" + about},
		"forged":            {Config{}, asked("/a?b", "X-Original-Uri", "/x", "X-Original-Url", "x", "X-Original-Method", "x", "X-Forwarded-Uri", "/x", "X-Forwarded-Method", "x", "X-Real-Ip", "x"), nil, "GET /auth example.org" + about},
		"by a proxy":        {Config{TrustedProxies: []string{"192.0.2.1"}}, asked("/a?b", "X-Original-Uri", "/x", "X-Forwarded-Uri", "/x", "X-Forwarded-Method", "x", "X-Real-Ip", "x"), nil, "GET /auth example.org" + about},
		"with underscores":  {Config{UnderscoreHeaders: []string{"x_original_uri", "api_key"}}, asked("/a?b", "X_original_uri", "/x", "Api_key", "x"), nil, "GET /auth example.org\nApi_key: x" + about},
		"given":             {Config{GrantedFields: []string{"X-Secret"}}, asked("/a?b", "X-Secret", "x", "Remote-User", "x"), nil, "GET /auth example.org" + about},
		"outside the mount": {Config{Mount: "/app"}, asked("/a?b"), nil, `cgi: request refused with 404: path "/a" is outside the mount "/app"`},
	} {
		if got := question(t, c.cfg, c.r, "/auth", c.fields...); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, c.want)
		}
	}
	if got := question(t, Config{}, asked("/a?b"), ""); got != "GET /a?b example.org"+about {
		t.Errorf("without a target of its own:\n%s", got)
	}
}

// An authorizer is asked about what the client has asked for, whatever a handler in front has made of it, and
// dot segments change nothing about that.
func TestAuthorizerHTTPRewrittenInFront(t *testing.T) {
	for _, c := range []struct{ asked, now, want string }{
		{"/app/admin?q", "/admin?q", "/app/admin?q"},
		{"/app/x/../admin?q", "/x/../admin?q", "/app/admin?q"},
		{"/app/x/%2e%2e/a%20b/", "/x/../a%20b/", "/app/a%20b/"},
		{"/old/./x?q", "/index.php?x", "/old/x?q"},
		{"/app/a%2Fb", "/a%2Fb", "/app/a%2Fb"},
	} {
		r := asked(c.asked)
		u, err := url.Parse(c.now)
		if err != nil {
			t.Fatal(err)
		}
		r.URL = u
		if got := question(t, Config{}, r, "/auth"); !strings.Contains(got, "\nX-Original-URI: "+c.want+"\n") {
			t.Errorf("%s, now %s:\n%s\nwant %s", c.asked, c.now, got, c.want)
		}
	}
}

// Fields that only the authorizer may give are nobody else's, whether it gives them or not.
func TestGrantFields(t *testing.T) {
	m := newMapper(t, Config{GrantedFields: []string{"x-auth-request-email", "Remote-Groups"}, PassUser: "Remote-User", Env: map[string]string{"HTTP_REMOTE_GROUPS": "configured"}})
	const forged = "forged"
	r := asked("/", "X-Auth-Request-Email", forged, "X-Auth-Request-User", forged, "Remote-User", forged, "Remote-Groups", forged)
	received, err := (&Received{Vars: []Var{
		{"REQUEST_URI", "/"}, {"REMOTE_ADDR", "192.0.2.1"}, {"HTTP_REMOTE_USER", forged}, {"HTTP_REMOTE_GROUPS", forged}, {"HTTP_X_AUTH_REQUEST_EMAIL", forged},
	}}).Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []http.Header{
		{},
		{"X-Auth-Request-Email": {"jane@example.org"}, "X-Auth-Request-User": {"id"}, "Remote-User": {"jane"}, "X-Secret": {"x"}},
	} {
		for _, user := range []bool{true, false} {
			var vars [2][]Var
			var message http1.Request
			for i, r := range []*http.Request{r, received} {
				c := m.Client(r)
				m.GrantFields(&c, said, user)
				if vars[i], err = m.Vars(nil, r, &c, 0); err != nil {
					t.Fatal(err)
				}
				if want := map[bool]string{true: said.Get("Remote-User")}[user]; c.User != want {
					t.Errorf("user %q, want %q", c.User, want)
				}
				if err := m.HTTP(&message, r, &c, 0); err != nil {
					t.Fatal(err)
				}
			}
			for _, list := range vars {
				got := make(map[string]string)
				for _, v := range list {
					if _, twice := got[v.Name]; twice || v.Value == forged {
						t.Errorf("%v", v)
					}
					got[v.Name] = v.Value
				}
				if got["HTTP_X_AUTH_REQUEST_EMAIL"] != said.Get("X-Auth-Request-Email") || got["HTTP_REMOTE_GROUPS"] != "configured" || got["HTTP_X_SECRET"] != "" || got["HTTP_X_AUTH_REQUEST_USER"] != "" {
					t.Errorf("%v", got)
				}
			}
			for _, f := range message.Fields {
				if f.Value == forged || f.Name == "X-Auth-Request-User" {
					t.Errorf("%v", f)
				}
			}
		}
	}
}

// Whatever an authorizer says in HTTP, the application gets the fields that it may give, once each,
// and what it gets is one header.
func FuzzGrantFields(f *testing.F) {
	f.Add("X-Auth-Request-User", "jane", "Remote-User", "jane")
	f.Add("X-Secret", "a\r\nX-Forged: b", "x-secret", "c")
	f.Fuzz(func(t *testing.T, name, value, name2, value2 string) {
		m := newMapper(t, Config{GrantedFields: []string{"X-Secret", "X-Auth-Request-User"}})
		r := asked("/a", "X-Secret", "forged")
		c := m.Client(r)
		said := http.Header{}
		said.Add(name, value)
		said.Add(name2, value2)
		m.GrantFields(&c, said, true)
		var got http1.Request
		if m.HTTP(&got, r, &c, 0) != nil {
			return
		}
		head, err := got.Append(nil, true)
		if err != nil {
			return
		}
		read, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
		if err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		for field, values := range read.Header {
			given := said[field]
			switch {
			case field == "X-Secret" || field == "X-Auth-Request-User":
				if want := strings.Join(given, ", "); len(values) != 1 || strings.TrimSpace(values[0]) != strings.TrimSpace(want) {
					t.Fatalf("%s: %q, and %q was said", field, values, given)
				}
			case field == "X-Remote-User":
				if values[0] == "" || len(values) != 1 {
					t.Fatalf("the user is %q", values)
				}
			case !strings.HasPrefix(field, "X-Forwarded-"):
				t.Fatalf("%q", head)
			}
		}
	})
}
