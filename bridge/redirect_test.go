package bridge

import (
	"testing"
	"testing/synctest"

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
				r := newRig(t, Config{Workers: 1}, redirecting(map[string]string{
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
				r := newRig(t, Config{RequestBuffering: buffering}, redirecting(map[string]string{
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
		r := newRig(t, Config{Workers: 1}, fcgitest.Answer("Location: /again\n\n"))
		r.wantError(r.get("/"), 502, errProtocol)
		if n := len(r.peer.Requests()); n != maxRedirects {
			t.Errorf("%d requests, want %d", n, maxRedirects)
		}
		r.wantKept(1)
	})
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
		r := newRig(t, Config{Hide: []string{"/data"}}, fcgitest.Answer("Location: /data/secret\n\n"))
		re := r.get("/")
		r.wantError(re, 404, errRequest)
		if n := len(r.peer.Requests()); n != 1 {
			t.Errorf("the application was sent %d requests, want 1", n)
		}
	})
}
