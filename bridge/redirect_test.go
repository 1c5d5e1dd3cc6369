package bridge

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// redirecting answers every path with a CGI answer of its own.
func redirecting(answers map[string]string) fcgitest.Script {
	return fcgitest.Each(func(s *fcgitest.Session, r *fcgitest.Request) {
		s.Send(fcgitest.Out(r.ID, answers[r.Param("REQUEST_URI")]), fcgitest.End(r.ID))
	})
}

func TestLocalRedirect(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "POST"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, redirecting(map[string]string{
					"/from":       "Location: /middle?a=b\n\n",
					"/middle?a=b": "Location: /to\n\n",
					"/to":         fcgitest.Page,
				}))
				re := r.do(method, "/from", nil)
				if method == "HEAD" {
					if re.status != 200 || re.body != "" || re.header.Get("X-Page") != "1" {
						t.Errorf("%d %q", re.status, re.body)
					}
				} else {
					r.wantPage(re)
				}
				if re.header.Get("Location") != "" {
					t.Errorf("the client sees Location %q", re.header.Get("Location"))
				}
				got := r.peer.Requests()
				if len(got) != 3 || got[1].Param("QUERY_STRING") != "a=b" {
					t.Fatalf("%d requests, %+v", len(got), got)
				}
				want := "GET"
				if method == "HEAD" {
					want = "HEAD"
				}
				if m := got[2].Param("REQUEST_METHOD"); m != want {
					t.Errorf("the target was asked with %s, want %s", m, want)
				}
				if n := r.peer.Accepted(); n != 1 {
					t.Errorf("%d connections, want 1", n)
				}
				r.wantKept(1)
			})
		})
	}
}

// The body stays with the request it came with.
func TestLocalRedirectOfAnUpload(t *testing.T) {
	for name, buffering := range map[string]Switch{"spooled": On, "streamed": Off} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{SiteConfig: SiteConfig{RequestBuffering: buffering}}, redirecting(map[string]string{
					"/from": "Location: /to\n\n",
					"/to":   fcgitest.Page,
				}))
				r.wantPage(r.post("/from", "body"))
				got := r.peer.Requests()
				if string(got[0].Stdin) != "body" || len(got[1].Stdin) != 0 || got[1].Param("CONTENT_LENGTH") == "4" || got[1].Param("CONTENT_TYPE") != "" {
					t.Errorf("requests %+v and %+v", got[0], got[1])
				}
				if o := r.outcome(); o.BytesIn != 4 {
					t.Errorf("%d bytes in, want 4", o.BytesIn)
				}
			})
		})
	}
}

func TestLocalRedirectLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.Answer("Location: /again\n\n"))
		r.wantError(r.get("/"), 502, errProtocol)
		if n := len(r.peer.Requests()); n != maxRedirects {
			t.Errorf("%d requests, want %d", n, maxRedirects)
		}
		r.wantKept(1)
	})
}

// A local redirect has no body. With one it is a redirect for the client, who gets the
// body, and so is one to a path that is another application's. Spaces are encoded.
func TestLocalRedirectOrNot(t *testing.T) {
	for name, s := range map[string]saying{
		"none":                  {parts: say("Location: /next\n\n"), status: 200, body: fcgitest.PageBody, header: map[string]string{"Location": ""}},
		"none, late end":        {parts: say("Location: /next\n\n"), end: fcgitest.EndedLate, status: 200, body: fcgitest.PageBody},
		"none, hung up":         {parts: say("Location: /next\n\n"), end: fcgitest.ClosedOut, status: 200, body: fcgitest.PageBody},
		"a line end":            {parts: say("Location: /next\r\n\r\n", "\r\n"), status: 200, body: fcgitest.PageBody},
		"a body":                {parts: say("Location: /next\n\n", "<a>"), status: 302, body: "<a>", header: map[string]string{"Location": "/next"}},
		"a body, late end":      {parts: say("Location: /next\n\n", "<a>"), end: fcgitest.EndedLate, status: 302, body: "<a>"},
		"a body, hung up":       {parts: say("Location: /next\n\n", "<a>"), end: fcgitest.HungUp, cut: true},
		"a line end and a body": {parts: say("Location: /next\n\n", "\n", "\n <a>"), status: 302, body: "\n\n <a>"},
		"hung up":               {parts: say("Location: /next\n\n"), end: fcgitest.HungUp, cut: true},
		"a body, spaces":        {parts: say("Location: /a b?c d\n\n", "<a>"), status: 302, body: "<a>", header: map[string]string{"Location": "/a%20b?c%20d"}},
		"HEAD, a body":          {method: "HEAD", parts: say("Location: /next\n\n", "<a>"), status: 302, header: map[string]string{"Location": "/next"}},
		"HEAD, hung up":         {method: "HEAD", parts: say("Location: /next\n\n"), end: fcgitest.ClosedOut, status: 200, header: map[string]string{"X-Page": "1"}},
		"HEAD":                  {method: "HEAD", parts: say("Location: /next\n\n"), status: 200, header: map[string]string{"X-Page": "1"}},
	} {
		t.Run(name, func(t *testing.T) { s.check(t, Config{ApplicationConfig: ApplicationConfig{Workers: 4}}) })
	}
	for name, s := range map[string]saying{
		"outside":         {parts: say("Location: /login?from=1\n\n"), status: 302, header: map[string]string{"Location": "/login?from=1"}},
		"outside, a body": {parts: say("Location: /login\n\n", "<a>"), status: 302, body: "<a>"},
		"outside, spaces": {parts: say("Location: /lo gin\n\n"), status: 302, header: map[string]string{"Location": "/lo%20gin"}},
		"looks alike":     {parts: say("Location: /nextlogin\n\n"), status: 302, header: map[string]string{"Location": "/nextlogin"}},
		"within":          {parts: say("Location: /next/x\n\n"), status: 200, body: fcgitest.PageBody},
		"the mount":       {parts: say("Location: /next\n\n"), status: 200, body: fcgitest.PageBody},
	} {
		s.path = "/next/here"
		t.Run(name, func(t *testing.T) {
			s.check(t, Config{ApplicationConfig: ApplicationConfig{Workers: 4}, SiteConfig: SiteConfig{Mount: "/next"}})
		})
	}
}

// What a redirect leads to is asked for as a client would.
func TestLocalRedirectIsEncoded(t *testing.T) {
	for location, want := range map[string][3]string{
		"/caf\u00e9 1?q=a b": {"/caf%C3%A9%201?q=a%20b", "/caf\u00e9 1", "q=a%20b"},
		"/100%":              {"/100%25", "/100%", ""},
		"/a%20b?%":           {"/a%20b?%", "/a b", "%"},
		"/?a?b":              {"/?a?b", "/", "a?b"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{}, redirecting(map[string]string{"/": "Location: " + location + "\n\n", want[0]: fcgitest.Page}))
			r.wantPage(r.get("/"))
			q := r.peer.Requests()[1]
			if got := [3]string{q.Param("REQUEST_URI"), q.Param("PATH_INFO"), q.Param("QUERY_STRING")}; got != want {
				t.Errorf("%s: asked for %q, want %q", location, got, want)
			}
		})
	}
}

// What a local redirect leads to is a request of its own: it is sent again where others
// are, and waits for itself.
func TestLocalRedirectIsReplayed(t *testing.T) {
	dying := func(s *fcgitest.Session) {
		q := s.Request()
		s.Send(fcgitest.Out(q.ID, "Location: /to\n\n"), fcgitest.End(q.ID))
		s.Request() // it closes without an answer
	}
	for _, method := range []string{"GET", "POST"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, dying, fcgitest.Hello)
			r.wantPage(r.do(method, "/from", nil))
			if o := r.outcome(); o.Attempts != 3 || o.Reused {
				t.Errorf("%s: %d attempts, want 3, the last on a fresh connection", method, o.Attempts)
			}
		})
	}
	// One that was sent for the last time says nothing of the next.
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.First(fcgitest.Page, fcgitest.EOFBeforeHeader), dying, fcgitest.Hello)
		r.wantPage(r.get("/"))
		r.wantPage(r.get("/from"))
		if o := r.outcome(); o.Attempts != 4 {
			t.Errorf("%d attempts, want 4", o.Attempts)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			if q.Param("REQUEST_URI") == "/from" {
				s.Send(fcgitest.Out(q.ID, "Location: /to\n\n"), fcgitest.Record(fcgitest.Stdout, q.ID, nil))
				s.HoldFor(time.Second)
				s.Send(fcgitest.End(q.ID))
				return
			}
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		}))
		re := r.get("/from")
		r.wantPage(re)
		if o := r.outcome(); re.after != time.Second || o.Queued != time.Second-gatherFor {
			t.Errorf("after %v, %v of them waiting for the worker that ends the redirect", re.after, o.Queued)
		}
	})
}

// A static file is the front's, if it sends any, and the client's to ask for otherwise. What
// may not be sent is not sent by a detour.
func TestLocalRedirectToAFile(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"index.php", "style.css", "x.php.bak", ".secret", "data/x.css"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for location, want := range map[string]struct {
		alone, served int // statuses
	}{
		"/style.css?v=2": {302, 200},
		"/x.php.bak":     {404, 404},
		"/.secret":       {404, 404},
		"/data/x.css":    {404, 404},
		"/nothing":       {404, 404},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Preset: "php"}, SiteConfig: SiteConfig{Root: root, Hide: []string{"/data"}}}, fcgitest.Answer("Location: "+location+"\n\n"))
			re := r.get("/index.php")
			if re.status != want.alone || (re.status == 302) != (re.header.Get("Location") == location) {
				t.Errorf("%s: %d to %q, want %d", location, re.status, re.header.Get("Location"), want.alone)
			}
			r.cfg.ServeFile = func(w http.ResponseWriter, req *http.Request) (int, int64) {
				name, ok := r.b.StaticFile(req)
				if !ok {
					return 0, 0
				}
				n, _ := io.WriteString(w, req.Method+" "+name)
				return http.StatusOK, int64(n)
			}
			r.renew()
			w := httptest.NewRecorder()
			req, _ := http.NewRequest(http.MethodPost, "http://app.test/index.php", nil)
			r.b.ServeHTTP(w, req)
			if w.Code != want.served || want.served == 200 && (w.Body.String() != "GET style.css" || w.Header().Get("Location") != "") {
				t.Errorf("%s: %d %q, want %d", location, w.Code, w.Body, want.served)
			}
			if o := r.outcome(); o.Status != want.served || want.served == 200 && (o.BytesOut != 13 || o.Err != nil) {
				t.Errorf("%s: outcome %+v", location, o)
			}
		})
	}
}

// Redirects for the client are the client's.
func TestRedirectOfTheClient(t *testing.T) {
	for answer, status := range map[string]int{
		"Location: http://other.test/\n\n":            302,
		"Location: //other.test/\n\n":                 302,
		"Status: 303 See Other\nLocation: /next\n\n":  303,
		"Location: /next\nSet-Cookie: a=b\n\n":        302,
		"Location: /next#fragment\n\n":                302,
		"Status: 201 Created\nLocation: /thing/1\n\n": 201,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{}, fcgitest.Answer(answer))
			if re := r.get("/"); re.status != status || re.header.Get("Location") == "" || re.err != nil {
				t.Errorf("%q: %d, Location %q", answer, re.status, re.header.Get("Location"))
			}
			if n := len(r.peer.Requests()); n != 1 {
				t.Errorf("%q: %d requests", answer, n)
			}
		})
	}
}

// A local redirect does not lead to what is hidden.
func TestRedirectToHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Hide: []string{"/data"}}}, fcgitest.Answer("Location: /data/secret\n\n"))
		re := r.get("/")
		r.wantError(re, 404, errRequest)
		if n := len(r.peer.Requests()); n != 1 {
			t.Errorf("the application was sent %d requests, want 1", n)
		}
	})
}
