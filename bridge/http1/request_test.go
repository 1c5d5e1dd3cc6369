package http1_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/http1"
)

// Requests, byte for byte.
func TestRequest(t *testing.T) {
	for name, c := range map[string]struct {
		r    http1.Request
		keep bool
		want string
	}{
		"GET":             {http1.Request{Method: "GET", Target: "/a?b=c%20d", Host: "example.org"}, true, "GET /a?b=c%20d HTTP/1.1\r\nHost: example.org\r\n\r\n"},
		"fields":          {http1.Request{Method: "GET", Target: "/", Host: "a:81", Fields: []http1.Field{{"Cookie", "a=b; c=d"}, {"X-Y", ""}}}, true, "GET / HTTP/1.1\r\nHost: a:81\r\nCookie: a=b; c=d\r\nX-Y: \r\n\r\n"},
		"for one request": {http1.Request{Method: "GET", Target: "/", Host: "a"}, false, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		"a body":          {http1.Request{Method: "POST", Target: "/", Host: "a", Length: 12}, true, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n"},
		"a body of GET":   {http1.Request{Method: "GET", Target: "/", Host: "a", Length: 1}, true, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"},
		"an empty body":   {http1.Request{Method: "PUT", Target: "/", Host: "a"}, true, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
		"no host":         {http1.Request{Method: "OPTIONS", Target: "*"}, true, "OPTIONS * HTTP/1.1\r\nHost: \r\n\r\n"},
		"an upgrade":      {http1.Request{Method: "GET", Target: "/", Host: "a", Upgrade: "websocket"}, false, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
	} {
		got, err := c.r.Append([]byte("before"), c.keep)
		if err != nil || string(got) != "before"+c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
		if n, err := c.r.Size(); err != nil || n < len(c.want) || n > len(c.want)+100 {
			t.Errorf("%s: size %d, %v, and it is %d", name, n, err, len(c.want))
		}
	}
}

func TestRefused(t *testing.T) {
	good := http1.Request{Method: "GET", Target: "/", Host: "a"}
	for want, change := range map[string]func(*http1.Request){
		`method "" is no token`:                                         func(r *http1.Request) { r.Method = "" },
		`method "GET / HTTP/1.1\r\n" is no token`:                       func(r *http1.Request) { r.Method = "GET / HTTP/1.1\r\n" },
		`method CONNECT asks for a tunnel, which an application is not`: func(r *http1.Request) { r.Method = "CONNECT" },
		`target "" is no path`:                                          func(r *http1.Request) { r.Target = "" },
		`target "http://a/" is no path`:                                 func(r *http1.Request) { r.Target = "http://a/" },
		`target "/a b" has a space or a control character`:              func(r *http1.Request) { r.Target = "/a b" },
		`target "/\r\n" has a space or a control character`:             func(r *http1.Request) { r.Target = "/\r\n" },
		`host "a\r\nX: y" is none`:                                      func(r *http1.Request) { r.Host = "a\r\nX: y" },
		`host "a/b" is none`:                                            func(r *http1.Request) { r.Host = "a/b" },
		`field "A B" has a name that is no token`:                       func(r *http1.Request) { r.Fields = []http1.Field{{"A B", "c"}} },
		`field "" has a name that is no token`:                          func(r *http1.Request) { r.Fields = []http1.Field{{"", "c"}} },
		`field A has a control character in its value`:                  func(r *http1.Request) { r.Fields = []http1.Field{{"A", "b\nc"}} },
		`upgrade "a b" is no token`:                                     func(r *http1.Request) { r.Upgrade = "a b" },
		`upgrade "websocket" goes with a body`:                          func(r *http1.Request) { r.Upgrade, r.Length = "websocket", 1 },
		`field content-length is not the client's to set`:               func(r *http1.Request) { r.Fields = []http1.Field{{"content-length", "1"}} },
		`field Transfer-Encoding is not the client's to set`:            func(r *http1.Request) { r.Fields = []http1.Field{{"Transfer-Encoding", "chunked"}} },
		`the body has no length yet`:                                    func(r *http1.Request) { r.Length = -1 },
	} {
		r := good
		change(&r)
		got, err := r.Append([]byte("before"), true)
		var refused *http1.RequestError
		if !errors.As(err, &refused) || err.Error() != "http: "+want || string(got) != "before" {
			t.Errorf("%q, %v, want %s", got, err, want)
		}
		if _, err := r.Size(); err == nil && r.Length >= 0 {
			t.Errorf("%s: it can be measured", want)
		}
	}
	for _, name := range []string{"host", "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade", "Expect", "HTTP2-Settings"} {
		r := good
		r.Fields = []http1.Field{{name, "x"}}
		if _, err := r.Append(nil, true); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// What is encoded is one request, which net/http reads as it was given, whatever it is, or it
// is refused.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/a?b", "example.org", "X-A", "b", "Cookie", "c=d", "hello")
	f.Add("POST", "*", "a:1", "Content-Length", "5", "A", "b\r\nc", "")
	f.Add("GET / HTTP/1.1\r\n\r\n", "//", "", "a:", " b ", "é", "é", "x")
	f.Fuzz(func(t *testing.T, method, target, host, name1, value1, name2, value2, body string) {
		given := http1.Request{Method: method, Target: target, Host: host, Length: int64(len(body)), Fields: []http1.Field{{name1, value1}, {name2, value2}}}
		head, err := given.Append(nil, true)
		if err != nil {
			if len(head) > 0 {
				t.Fatalf("%q, %v", head, err)
			}
			return
		}
		if bytes.Count(head, []byte("\r\n\r\n")) != 1 || !bytes.HasSuffix(head, []byte("\r\n\r\n")) || bytes.Count(head, []byte("\n")) != bytes.Count(head, []byte("\r\n")) {
			t.Fatalf("%q has more than one end", head)
		}
		in := bufio.NewReader(strings.NewReader(string(head) + body))
		r, err := http.ReadRequest(in)
		if err != nil {
			return // it is stricter about targets and hosts, and nothing follows
		}
		read, err := io.ReadAll(r.Body)
		if r.Method != method || r.RequestURI != target || err != nil || string(read) != body || in.Buffered() > 0 {
			t.Fatalf("%q is read as %s %q with body %q, %v", head, r.Method, r.RequestURI, read, err)
		}
	})
}
