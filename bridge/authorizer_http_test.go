package bridge

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

const httpAuthorizer = "http+unix:/run/authorizer.sock:/oauth2/auth?groups=a"

// asksHTTP returns a configuration with an authorizer that is asked in HTTP.
func asksHTTP(address string) Config {
	return Config{ApplicationConfig: ApplicationConfig{Authorizer: &config.Authorizer{Address: address}}}
}

// told is the request line and the header of a request, in the order of the alphabet.
func told(r *http.Request) string {
	lines := []string{"Host: " + r.Host}
	for name, values := range r.Header {
		for _, value := range values {
			lines = append(lines, name+": "+value)
		}
	}
	slices.Sort(lines)
	return r.Method + " " + r.RequestURI + "\n" + strings.Join(lines, "\n")
}

// decides plays an authorizer that gives its answers one after the other, and keeps what it was
// asked, byte for byte but in the order of the alphabet. After its last answer it closes the
// connection.
func decides(asked *[]string, answers ...string) fcgitest.Script {
	return func(s *fcgitest.Session) {
		in := bufio.NewReader(s)
		for len(answers) > 0 {
			var lines []string
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == "\r\n" {
					break
				}
				lines = append(lines, strings.TrimSuffix(line, "\r\n"))
			}
			slices.Sort(lines[1:])
			*asked = append(*asked, strings.Join(lines, "\n"))
			answer := answers[0]
			answers = answers[1:]
			if _, err := io.WriteString(s, answer); err != nil {
				return
			}
		}
	}
}

const (
	unauthorized = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 6\r\n\r\nlog in"
	moved        = "HTTP/1.1 302 Found\r\nLocation: /login\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	accepted     = "HTTP/1.1 202 Accepted\r\nX-Auth-Request-User: jane\r\nX-Auth-Request-Groups: a\r\nX-Auth-Request-Groups: b\r\nX-Auth-Request-Email:\r\nX-Secret: 1\r\nVariable-A: b\r\nSet-Cookie: session=2\r\nContent-Length: 8\r\n\r\nAccepted"
	noContent    = "HTTP/1.1 204 No Content\r\n\r\n"
)

// forge sets fields that only the authorizer, or Sluice, may set.
func forge(r *http.Request) {
	for _, name := range []string{
		"X-Auth-Request-User", "X-Auth-Request-Email", "X_auth_request_user", "Remote-User", "Remote-Groups",
		"X-Original-URI", "X-Original-URL", "X-Original-Method", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Real-IP", "X-Forwarded-For",
	} {
		r.Header[name] = []string{"forged"}
		r.Header.Set(name, "forged")
	}
}

// What an authorizer is asked, byte for byte, whatever the method is, and what the application gets.
func TestHTTPAuthorizer(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "POST"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []string
				r, authorizer := newGuardedRig(t, asksHTTP(httpAuthorizer), decides(&asked, unauthorized, moved, accepted))
				send := func() reply {
					req := as("jane", method, "/a/../page?x=%20y", map[string]string{"POST": "body"}[method])
					forge(req)
					req.Header["User-Agent"] = []string{"test"}
					req.Header.Set("Range", "bytes=0-1")
					req.Header.Set("If-None-Match", "x")
					req.Header.Set("Content-Type", "text/x")
					return r.send(req)
				}
				re := send()
				if want := map[bool]string{true: "", false: "log in"}[method == "HEAD"]; re.status != 401 || re.header.Get("Www-Authenticate") != "Bearer" || re.body != want || re.err != nil {
					t.Errorf("%+v", re)
				}
				if re = send(); re.status != 302 || re.header.Get("Location") != "/login" || re.err != nil || r.peer.Accepted() != 0 {
					t.Errorf("%+v, %d connections to the application", re, r.peer.Accepted())
				}
				if o := r.outcome(); o.Authorizer != "denied" || o.BytesIn != 0 || o.Instance != "http+unix:/run/authorizer.sock" {
					t.Errorf("%+v", o)
				}
				if re = send(); re.status != 200 || !slices.Equal(re.header["Set-Cookie"], []string{"session=2"}) || re.header.Get("X-Auth-Request-User") != "" {
					t.Errorf("%+v", re)
				}
				if o := r.outcome(); o.Authorizer != "granted" || o.User != "jane" {
					t.Errorf("%+v", o)
				}
				want := "GET /oauth2/auth?groups=a HTTP/1.1\n" + strings.Join([]string{
					"Cookie: user=jane", "Host: app.test", "User-Agent: test",
					"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: app.test", "X-Forwarded-Method: " + method, "X-Forwarded-Port: 80", "X-Forwarded-Proto: http", "X-Forwarded-Uri: /page?x=%20y",
					"X-Original-Method: " + method, "X-Original-URI: /page?x=%20y", "X-Original-URL: http://app.test/page?x=%20y", "X-Real-IP: 192.0.2.1",
				}, "\n")
				for _, got := range asked {
					if got != want {
						t.Errorf("asked\n%s\nwant\n%s", got, want)
					}
				}
				if n := authorizer.Accepted(); len(asked) != 3 || n != 1 {
					t.Errorf("asked %d times over %d connections", len(asked), n)
				}
				params := r.peer.Requests()[0]
				for name, want := range map[string]string{
					"REMOTE_USER": "jane", "HTTP_X_AUTH_REQUEST_USER": "jane", "HTTP_X_AUTH_REQUEST_GROUPS": "a, b", "HTTP_X_AUTH_REQUEST_EMAIL": "",
					"HTTP_REMOTE_USER": "", "HTTP_REMOTE_GROUPS": "", "HTTP_X_SECRET": "", "A": "", "REQUEST_METHOD": method, "HTTP_RANGE": "bytes=0-1",
				} {
					if got := params.Param(name); got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
			})
		})
	}
}

// An application that speaks HTTP gets fields of the same names, and never a client's.
func TestHTTPAuthorizerOfHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := asksHTTP("http+unix:/run/authorizer.sock")
		cfg.Protocol, cfg.Authorization.Variables, cfg.PassUser = HTTP, []string{"x-auth-request-groups", "X-Secret"}, "X-Remote-User"
		var asked []string
		r, _ := newGuardedRig(t, cfg, decides(&asked, noContent, accepted))
		for _, given := range []string{"", "\nX-Auth-Request-Groups: a, b\nX-Forwarded-For: 192.0.2.1"} {
			req := as("jane", "GET", "/page?x", "")
			forge(req)
			re := r.send(req)
			if re.status != 200 || strings.Contains(re.body, "Auth-Request-User") || strings.Contains(re.body, "\nRemote-") || !strings.Contains(re.body, given) {
				t.Errorf("%+v", re)
			}
			if passed := strings.HasSuffix(re.body, "\nX-Remote-User: jane\nX-Secret: 1"); passed != (given != "") {
				t.Errorf("%s", re.body)
			}
		}
		if len(asked) != 2 || !strings.HasPrefix(asked[0], "GET /page?x HTTP/1.1\n") {
			t.Errorf("asked %q", asked)
		}
	})
}

// Who asks for WebSocket is asked about as others are, and is upgraded by the application alone.
func TestHTTPAuthorizerOfUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := asksHTTP(httpAuthorizer)
		cfg.Protocol = HTTP
		var asked []string
		r, _ := newGuardedRig(t, cfg, decides(&asked, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"))
		c, _, resp := r.upgrade(asksForWebSocket)
		if resp.StatusCode != 502 || resp.Header.Get("Proxy-Status") != `sluice; error=http_protocol_error; details="authorizer"` || r.peer.Accepted() != 0 {
			t.Errorf("%s %v", resp.Status, resp.Header)
		}
		c.Close()
		for _, got := range asked {
			if strings.Contains(got, "\nUpgrade") || strings.Contains(got, "\nConnection") {
				t.Errorf("asked %q", got)
			}
		}
	})
}

// Whatever is not a complete answer with 2xx lets nobody pass.
func TestHTTPAuthorizerFails(t *testing.T) {
	for answer, want := range map[string]int{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAcc":                   502,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nAcc\r\n": 502,
		"HTTP/1.1 200 OK\r\nX-Auth-Request-User: jane\r\n":                  502,
		"Status: 200 OK\r\n\r\n":                                            502,
		"HTTP/1.1 100 Continue\r\n\r\n":                                     502,
		"HTTP/1.1 304 Not Modified\r\n\r\n":                                 304,
		"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n":                    500,
		"HTTP/1.1 300 Choose\r\nContent-Length: 0\r\n\r\n":                  300,
		"": 502,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(fmt.Sprintf("%s %q", method, answer), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var asked []string
					r, _ := newGuardedRig(t, asksHTTP(httpAuthorizer), decides(&asked, answer))
					if re := r.send(as("jane", method, "/page", "")); re.status != want || r.peer.Accepted() != 0 {
						t.Errorf("%+v", re)
					}
				})
			})
		}
	}
}

// An authorizer that ends an unused connection with a 408 has decided nothing, and is asked once more, also
// about a POST.
func TestHTTPAuthorizerIdle408(t *testing.T) {
	const idle = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []string
				r, authorizer := newGuardedRig(t, asksHTTP(httpAuthorizer), decides(&asked, noContent, idle, noContent))
				for range 2 {
					if re := r.send(as("jane", method, "/page", "")); re.status != 200 {
						t.Errorf("%+v", re)
					}
				}
				if len(asked) != 3 || authorizer.Accepted() != 2 {
					t.Errorf("asked %d times over %d connections", len(asked), authorizer.Accepted())
				}
			})
		})
	}
}

// The path is changed in place; the protocol is not.
func TestConfigureHTTPAuthorizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		r, authorizer := newGuardedRig(t, asksHTTP(httpAuthorizer), decides(&asked, noContent, noContent))
		r.send(as("jane", "GET", "/", ""))
		cfg := r.cfg.ApplicationConfig
		cfg.Authorizer = &config.Authorizer{Address: "http+unix:/run/authorizer.sock:/other"}
		if err := r.b.Application().Configure(cfg); err != nil {
			t.Fatal(err)
		}
		r.send(as("jane", "GET", "/", ""))
		if len(asked) != 2 || !strings.HasPrefix(asked[1], "GET /other HTTP/1.1\n") || authorizer.Accepted() != 1 {
			t.Errorf("%d connections, asked %q", authorizer.Accepted(), asked)
		}
		cfg.Authorizer = &config.Authorizer{Address: "unix:/run/authorizer.sock"}
		if err := r.b.Application().Configure(cfg); err == nil {
			t.Error("the protocol of the authorizer is changed in place")
		}
	})
}

func TestHTTPAuthorizerSettings(t *testing.T) {
	for name, c := range map[string]struct {
		address, backend string
		variables        []string
		underscored      []string
		want             string
	}{
		"fields":                {"http://192.0.2.1:80/a", "unix:/a", []string{"X-Secret"}, nil, ""},
		"a variable":            {"http://192.0.2.1:80/a", "unix:/a", []string{"X_Secret"}, nil, `authorizer.variables: "X_Secret"`},
		"a cookie":              {"http://192.0.2.1:80/a", "unix:/a", []string{"cookie"}, nil, `authorizer.variables: "cookie"`},
		"credentials":           {"http://192.0.2.1:80/a", "unix:/a", []string{"Authorization"}, nil, `authorizer.variables: "Authorization"`},
		"of the connection":     {"http://192.0.2.1:80/a", "unix:/a", []string{"Host"}, nil, `authorizer.variables: "Host"`},
		"forwarded":             {"http://192.0.2.1:80/a", "unix:/a", []string{"X-Forwarded-User"}, nil, `authorizer.variables: "X-Forwarded-User"`},
		"an underscore":         {"http://192.0.2.1:80/a", "unix:/a", []string{"X-Secret"}, []string{"x_secret"}, `underscore_headers "x_secret"`},
		"a usual one":           {"http://192.0.2.1:80/a", "unix:/a", []string{"X-Secret"}, []string{"remote_user"}, `underscore_headers "remote_user"`},
		"FastCGI and HTTP":      {"unix:/b", "http+unix:/a", nil, nil, ""},
		"its variables as well": {"unix:/b", "http+unix:/a", []string{"eppn"}, nil, "authorizer.variables: means nothing to an application that speaks http"},
	} {
		cfg := Config{ApplicationConfig: ApplicationConfig{Backends: []string{c.backend}, Authorizer: &config.Authorizer{Address: c.address}}}
		cfg.Authorization.Variables, cfg.UnderscoreHeaders = c.variables, c.underscored
		if err := cfg.Validate(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
