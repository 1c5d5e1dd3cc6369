package bridge

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// httpAnswers plays an application that answers the requests on a connection one after the
// other, with what answer returns: parts that are a second apart. It ends the connection after
// an answer that says so.
func httpAnswers(answer func(r *http.Request, body string) []string) fcgitest.Script {
	return func(s *fcgitest.Session) {
		in := bufio.NewReader(s)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			parts := answer(r, string(body))
			for i, part := range parts {
				if i > 0 {
					time.Sleep(time.Second)
				}
				if _, err := io.WriteString(s, part); err != nil {
					return
				}
			}
			if whole := strings.Join(parts, ""); r.Close || !strings.HasPrefix(whole, "HTTP/1.1 ") || strings.Contains(whole, "Connection: close") || !strings.Contains(whole, "Content-Length") && !strings.Contains(whole, "chunked") {
				return
			}
		}
	}
}

func httpSays(parts ...string) fcgitest.Script {
	return httpAnswers(func(*http.Request, string) []string { return parts })
}

// sized returns an answer with a length.
func sized(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func newHTTPRig(t *testing.T, cfg Config, scripts ...fcgitest.Script) *rig {
	t.Helper()
	cfg.Protocol, cfg.KeepAlive = HTTP, Auto
	return newRig(t, cfg, scripts...)
}

// Requests with and without bodies, one after the other on one connection, and several at once
// within the budget.
func TestHTTPKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHTTPRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 3}}, httpAnswers(func(r *http.Request, body string) []string {
			return []string{sized(fmt.Sprintf("%s %s %d %v\n%s", r.Method, r.RequestURI, r.ContentLength, r.TransferEncoding, body))}
		}))
		large := strings.Repeat("0123456789", 30_000)
		for body, buffering := range map[string]Switch{"": On, "a=b": On, large: On, large + "streamed": Off} {
			r.b.cfg.RequestBuffering = buffering
			re := r.post("/wiki?x=1", body)
			if want := fmt.Sprintf("POST /wiki?x=1 %d []\n%s", len(body), body); re.status != 200 || re.body != want || re.err != nil {
				t.Errorf("%d bytes sent: reply %d, %d bytes, want %d, %v", len(body), re.status, len(re.body), len(want), re.err)
			}
		}
		if r.peer.Accepted() != 1 {
			t.Errorf("%d connections for one request after the other", r.peer.Accepted())
		}
		var replies []func() reply
		for range 9 {
			replies = append(replies, r.start(http.MethodGet, "/", nil))
		}
		for _, reply := range replies {
			if re := reply(); re.body != "GET / 0 []\n" || re.err != nil {
				t.Errorf("reply %d %q, %v", re.status, re.body, re.err)
			}
		}
		if r.peer.MostOpen() > 3 {
			t.Errorf("%d connections at once", r.peer.MostOpen())
		}
		time.Sleep(time.Second + time.Millisecond)
		r.wantKept(0)
	})
}

// What the application's answers become, whether the connection is kept after them, and what
// is never taken for a complete answer.
func TestHTTPAnswers(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, tc := range map[string]struct {
		method string
		says   []string
		status int    // 0: aborted after a part
		body   string // or, if status is 502, what the log says
		kept   int
	}{
		"a length":                      {"GET", []string{sized("whole")}, 200, "whole", 1},
		"a length, in parts":            {"GET", []string{"HTTP/1.1 200 OK\r\nContent-Le", "ngth: 5\r\n\r\n", "who", "le"}, 200, "whole", 1},
		"chunks":                        {"GET", []string{chunked + "3\r\nwho\r\n", "2;x=y\r\nle\r", "\n0\r\nA: b\r\n\r\n"}, 200, "whole", 1},
		"chunks in one":                 {"GET", []string{chunked + "5\r\nwhole\r\n0\r\n\r\n"}, 200, "whole", 1},
		"no length":                     {"GET", []string{"HTTP/1.1 200 OK\r\n\r\nwh", "ole"}, 200, "whole", 0},
		"HTTP/1.0":                      {"GET", []string{"HTTP/1.0 200 OK\r\n\r\nwhole"}, 200, "whole", 0},
		"connection: close":             {"GET", []string{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nwhole"}, 200, "whole", 0},
		"closed soon":                   {"GET", []string{"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 5\r\n\r\nwhole"}, 200, "whole", 0},
		"HEAD":                          {"HEAD", []string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"}, 200, "", 0},
		"no content":                    {"GET", []string{"HTTP/1.1 204 No\r\nX: Content-Length\r\n\r\n"}, 204, "", 1},
		"not modified":                  {"GET", []string{"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n"}, 304, "", 0},
		"interim":                       {"GET", []string{"HTTP/1.1 100 Continue\r\n\r\n" + sized("whole")}, 200, "whole", 1},
		"a status field":                {"GET", []string{"HTTP/1.1 200 OK\r\nStatus: 404\r\nContent-Length: 5\r\n\r\nwhole"}, 200, "whole", 1},
		"a location":                    {"GET", []string{"HTTP/1.1 200 OK\r\nLocation: /x\r\nContent-Length: 5\r\n\r\nwhole"}, 200, "whole", 1},
		"more than its length":          {"GET", []string{sized("whole") + "more"}, 200, "whole", 0},
		"less than its length":          {"GET", []string{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nwh", "ole"}, 0, "", 0},
		"a chunk is missing":            {"GET", []string{"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n", "0\r\n"}, 0, "", 0},
		"less than its length, at once": {"GET", []string{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nwhole"}, 502, "closed the connection", 0},
		"nothing":                       {"GET", []string{""}, 502, "closed the connection", 0},
		"half a header":                 {"GET", []string{"HTTP/1.1 200 OK\r\nConnection: close\r\n"}, 502, "closed the connection", 0},
		"interim alone":                 {"GET", []string{"HTTP/1.1 103 OK\r\nConnection: close\r\n\r\n"}, 502, "closed the connection", 0},
		"length and chunks":             {"GET", []string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}, 502, "both Content-Length and Transfer-Encoding", 0},
		"bare LF":                       {"GET", []string{"HTTP/1.1 200 OK\nContent-Length: 5\n\nwhole"}, 502, "ends without CR", 0},
		"another protocol":              {"GET", []string{"SSH-2.0-OpenSSH\r\n"}, 502, "is no status line of HTTP/1.1", 0},
		"switched unasked":              {"GET", []string{"HTTP/1.1 101 Switching Protocols\r\n\r\n"}, 502, "has not asked for another protocol", 0},
		"two final answers":             {"GET", []string{sized("whole") + sized("other")}, 200, "whole", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHTTPRig(t, Config{}, httpSays(tc.says...))
				re := r.do(tc.method, "/", nil)
				switch {
				case tc.status == 0:
					r.wantAborted(re, errIncomplete)
				case tc.status == 502:
					if o := r.outcome(); re.status != 502 || o.Err == nil || !strings.Contains(o.Err.Error(), tc.body) {
						t.Errorf("reply %d, %v, want %s", re.status, o.Err, tc.body)
					}
				case re.status != tc.status || re.body != tc.body || re.err != nil:
					t.Errorf("reply %d %q, %v, want %d %q", re.status, re.body, re.err, tc.status, tc.body)
				}
				if o := r.outcome(); o.Attempts != 1 {
					t.Errorf("%d attempts", o.Attempts)
				}
				r.wantKept(tc.kept)
			})
		})
	}
}

// A request that was not run is sent again; one that may have been, only if it is idempotent
// and met a kept connection. The end of an unused connection cannot be seen here before it is
// used: of a POST, one byte is sent there.
func TestHTTPReplay(t *testing.T) {
	good := httpSays(sized("ok"))
	once := func(then func(*fcgitest.Session)) fcgitest.Script { // it answers one request, and treats the next like that
		return func(s *fcgitest.Session) {
			in := bufio.NewReader(s)
			if _, err := http.ReadRequest(in); err == nil {
				_, _ = io.WriteString(s, sized("ok"))
				then(s)
			}
		}
	}
	reads := once(func(s *fcgitest.Session) { _, _ = io.CopyN(io.Discard, s, 20) })
	for name, tc := range map[string]struct {
		method   string
		scripts  []fcgitest.Script
		after    time.Duration
		status   int
		attempts int
	}{
		"GET, closed while idle":  {"GET", []fcgitest.Script{once(func(*fcgitest.Session) {}), good}, time.Millisecond, 200, 2},
		"POST, closed while idle": {"POST", []fcgitest.Script{once(func(*fcgitest.Session) {}), good}, time.Millisecond, 200, 2},
		"POST, answered before it is sent": {"POST", []fcgitest.Script{once(func(s *fcgitest.Session) {
			_, _ = io.CopyN(io.Discard, s, 1)
			_, _ = io.WriteString(s, sized("forged"))
			_, _ = io.Copy(io.Discard, s)
		}), good}, time.Millisecond, 200, 2},
		"GET, closed as it comes":         {"GET", []fcgitest.Script{reads, good}, 0, 200, 2},
		"POST, closed as it comes":        {"POST", []fcgitest.Script{reads, good}, 0, 502, 1},
		"GET, closed on a new connection": {"GET", []fcgitest.Script{good, func(s *fcgitest.Session) { _, _ = io.CopyN(io.Discard, s, 20) }}, 2 * time.Second, 502, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHTTPRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, tc.scripts...)
				if re := r.get("/"); re.body != "ok" {
					t.Fatalf("reply %+v", re)
				}
				time.Sleep(tc.after)
				re := r.do(tc.method, "/", strings.NewReader("body"))
				if re.status != tc.status || tc.status == 200 && re.body != "ok" {
					t.Errorf("reply %d %q, %v, want %d", re.status, re.body, re.err, tc.status)
				}
				if o := r.outcome(); o.Attempts != tc.attempts {
					t.Errorf("%d attempts, want %d: %v", o.Attempts, tc.attempts, o.Err)
				}
			})
		})
	}
}

// A connection is not used any more a second before the application would close it.
func TestHTTPKeepAliveTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHTTPRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1, Timeouts: ConnectionTimeouts{Idle: Duration(time.Hour)}}},
			httpSays("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok"))
		for i, wait := range []time.Duration{0, 3999 * time.Millisecond, 4 * time.Second} {
			time.Sleep(wait)
			if re := r.post("/", "x"); re.body != "ok" {
				t.Errorf("reply %+v", re)
			}
			if want := []int{1, 1, 2}[i]; r.peer.Accepted() != want {
				t.Errorf("after %v: %d connections, want %d", wait, r.peer.Accepted(), want)
			}
		}
	})
}

// An application that answers before it has read the body and closes the connection is heard.
func TestHTTPEarlyAnswer(t *testing.T) {
	for name, cfg := range map[string]SiteConfig{"buffered": {}, "streamed": {RequestBuffering: Off}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHTTPRig(t, Config{SiteConfig: cfg}, func(s *fcgitest.Session) {
					if _, err := http.ReadRequest(bufio.NewReader(s)); err == nil {
						_, _ = io.WriteString(s, "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")
					}
				})
				if re := r.post("/", strings.Repeat("x", 1<<20)); re.status != 413 || re.body != "large" {
					t.Errorf("reply %d %q, %v", re.status, re.body, re.err)
				}
				time.Sleep(time.Second)
				r.wantKept(0)
			})
		})
	}
}

// Early hints reach the client, other interim answers do not, and Expect is answered here.
func TestHTTPInterim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var expects string
		r := newHTTPRig(t, Config{}, httpAnswers(func(r *http.Request, _ string) []string {
			expects = r.Header.Get("Expect")
			return []string{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + sized("ok")}
		}))
		var got []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			got = append(got, fmt.Sprint(code, h.Get("Link")))
			return nil
		}}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, "http://app.test/", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Expect", "100-continue")
		if re := r.send(req); re.body != "ok" || strings.Join(got, ", ") != "100, 103</a>" || expects != "" {
			t.Errorf("reply %+v after %q; the application was sent Expect: %q", re, got, expects)
		}
	})
}

// What the application learns of the client, and who is logged in.
func TestHTTPClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		user := ""
		r := newHTTPRig(t, Config{SiteHooks: SiteHooks{Identify: func(_ *http.Request, c *cgi.Client) { c.User = user }}}, httpAnswers(func(r *http.Request, _ string) []string {
			return []string{sized(fmt.Sprintf("%s user %q proto %q for %q", r.Host, r.Header["X-Remote-User"], r.Header["X-Forwarded-Proto"], r.Header["X-Forwarded-For"]))}
		}))
		for _, user = range []string{"", "joe"} {
			req, err := http.NewRequest(http.MethodGet, "http://app.test/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Remote-User", "root")
			req.Header.Set("X-Forwarded-Proto", "https")
			req.Header.Set("X-Forwarded-For", "10.0.0.1")
			want := `app.test user [] proto ["http"] for `
			if user != "" {
				want = `app.test user ["joe"] proto ["http"] for `
			}
			if re := r.send(req); !strings.HasPrefix(re.body, want) || strings.Contains(re.body, "10.0.0.1") {
				t.Errorf("%s, want %s", re.body, want)
			}
		}
	})
}

// A header that is too large is refused before it costs a connection.
func TestHTTPParams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHTTPRig(t, Config{SiteConfig: SiteConfig{MaxParams: 1000}}, httpSays(sized("ok")))
		req, err := http.NewRequest(http.MethodGet, "http://app.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Large", strings.Repeat("x", 900))
		r.wantError(r.send(req), 431, errRequest)
		if o := r.outcome(); r.peer.Accepted() != 0 || o.Err == nil || !strings.Contains(o.Err.Error(), "more than max_params allows (1000)") {
			t.Errorf("%d connections, error %v", r.peer.Accepted(), o.Err)
		}
	})
}

// An instance is asked whether it is ready in HTTP, whatever the form of its answer.
func TestHTTPReady(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n": "",
		"HTTP/1.0 200 OK\r\n\r\nyes":                   "",
		"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n": "the answer is 500",
		"": "EOF",
	} {
		synctest.Test(t, func(t *testing.T) {
			_, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Protocol: HTTP, KeepAlive: Auto, Spawn: &SpawnConfig{Ready: "/ready"}}}, httpSays(answer))
			err := k.cfg.Ready(t.Context(), fakeInstance)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%q: %v, want %q", answer, err, want)
			}
		})
	}
}

func TestHTTPEnv(t *testing.T) {
	_, err := New(t.Context(), Config{
		ApplicationConfig: ApplicationConfig{Backends: []string{"http://127.0.0.1:8000"}},
		SiteConfig:        SiteConfig{Env: map[string]string{"A": "b"}},
	})
	if err == nil || !strings.HasPrefix(err.Error(), "env: means nothing to an application that speaks http") {
		t.Errorf("%v", err)
	}
}

// A server that ends unused connections with a 408 may send that while a request is on its way.
// It is not the answer: a request that may be repeated gets its own, and so does the next one.
func TestHTTPIdle408(t *testing.T) {
	const idle = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	for method, want := range map[string]int{"GET": 200, "POST": 408} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			r := newHTTPRig(t, Config{}, httpAnswers(func(*http.Request, string) []string {
				if n++; n == 2 {
					return []string{idle}
				}
				return []string{sized("page")}
			}))
			r.get("/first")
			if re := r.do(method, "/second", nil); re.status != want || re.err != nil {
				t.Errorf("%s: %d, %v, want %d", method, re.status, re.err, want)
			}
			if re := r.get("/third"); re.status != 200 || re.body != "page" {
				t.Errorf("%s: %d %q for the request after it", method, re.status, re.body)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // an application that means it is heard
		r := newHTTPRig(t, Config{}, httpSays(idle))
		if re := r.get("/"); re.status != 408 || r.outcome().Attempts != 1 {
			t.Errorf("%d after %d attempts, want its 408", re.status, r.outcome().Attempts)
		}
	})
}
