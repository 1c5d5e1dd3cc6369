package bridge

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// pages is a front that has a page of its own for one status.
type pages struct {
	*httptest.ResponseRecorder
	takes  int
	status int
	err    error
}

// newPaged is newRig behind a front that has pages.
func newPaged(t *testing.T, cfg Config, takes int, scripts ...fcgitest.Script) (*rig, *pages) {
	p := &pages{ResponseRecorder: httptest.NewRecorder(), takes: takes}
	cfg.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, status int, err error) bool {
		if w != p {
			t.Errorf("the error handler was given a %T", w)
		}
		p.status, p.err = status, err
		return status == p.takes
	}
	return newRig(t, cfg, scripts...), p
}

// A front that has a page of its own is told what goes with it, and nothing else.
func TestErrorHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newPaged(t, Config{}, 502, fcgitest.EOFBeforeHeader)
		r.b.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		var conn *pool.Error
		if w.status != 502 || !errors.As(w.err, &conn) {
			t.Errorf("told %d, %v", w.status, w.err)
		}
		if h := w.Header(); len(h) != 1 || h.Get("Proxy-Status") != "sluice; error=http_response_incomplete" {
			t.Errorf("header %v", h)
		}
		if w.Body.Len() != 0 || w.Flushed {
			t.Errorf("the bridge wrote %q", w.Body)
		}
		if o := r.outcome(); o.Status != 502 || o.BytesOut != 0 || o.Aborted {
			t.Errorf("outcome %+v", o)
		}
	})
}

// What a front answers for a body that is refused is its own, too: the bridge sends nothing
// before it.
func TestErrorHandlerAndRefusedBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newPaged(t, Config{SiteConfig: SiteConfig{MaxBody: 10}}, 413, fcgitest.Hello)
		r.b.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader("more than ten bytes")))
		if w.status != 413 || w.Body.Len() != 0 || w.Flushed {
			t.Errorf("told %d, wrote %q, flushed: %v", w.status, w.Body, w.Flushed)
		}
	})
}

// A front that has none leaves the answer to the bridge.
func TestErrorHandlerDeclines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newPaged(t, Config{}, 404, fcgitest.EOFBeforeHeader)
		r.b.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.status != 502 || w.Code != 502 || w.Body.Len() == 0 || w.Header().Get("Content-Type") == "" {
			t.Errorf("told %d, answered %d %v %q", w.status, w.Code, w.Header(), w.Body)
		}
	})
}

// A poll's own answer stands for the application's: it is no error.
func TestErrorHandlerAndPollAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		told := func(to http.ResponseWriter, _ *http.Request, status int, err error) bool {
			if to == w {
				t.Errorf("told %d, %v", status, err)
			}
			return false
		}
		r, end := overfull(t, Config{SiteHooks: SiteHooks{ErrorHandler: told}, ApplicationConfig: ApplicationConfig{Lanes: On}, SiteConfig: SiteConfig{LongPoll: []string{"/poll"}, PollAnswer: PollAnswer{Status: 200, Body: "[]"}}})
		r.b.ServeHTTP(w, httptest.NewRequest("GET", "/poll", nil))
		if w.Code != 200 || w.Body.String() != "[]" {
			t.Errorf("answered %d %q", w.Code, w.Body)
		}
		end()
	})
}

// A front knows who has logged in, and what a variable is for a request.
func TestIdentifyAndExpand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got map[string]string
		cfg := Config{
			SiteConfig: SiteConfig{Env: map[string]string{"SITE": "{host}"}},
			SiteHooks: SiteHooks{
				Identify: func(_ *http.Request, c *cgi.Client) { c.Addr, c.User = "192.0.2.9", "ada" },
				Expand: func(r *http.Request, value string) string {
					if value == "{host}" {
						return r.Host
					}
					return value
				},
			},
		}
		r := newRig(t, cfg, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			got = map[string]string{}
			for _, name := range []string{"REMOTE_ADDR", "REMOTE_USER", "SITE"} {
				got[name] = q.Param(name)
			}
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		}))
		r.wantPage(r.get("/"))
		if got["REMOTE_ADDR"] != "192.0.2.9" || got["REMOTE_USER"] != "ada" || got["SITE"] != "app.test" {
			t.Errorf("the application saw %v", got)
		}
		if o := r.outcome(); o.Client != "192.0.2.9" {
			t.Errorf("outcome %+v", o)
		}
	})
}

// A front's own limit of bodies is answered as the bridge's is.
func TestBodyLimitOfTheFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Hello)
		w := httptest.NewRecorder()
		req := httptest.NewRequest("POST", "/", strings.NewReader("larger than that"))
		req.Body = http.MaxBytesReader(w, req.Body, 10)
		if r.b.ServeHTTP(w, req); w.Code != 413 {
			t.Errorf("answered %d %q", w.Code, w.Body)
		}
	})
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/run/app.sock"}}}, ""},
		{Config{ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/run/app.sock"}, Workers: -1}}, "workers: is -1, must not be negative"},
		{Config{ApplicationConfig: ApplicationConfig{Backends: []string{"nowhere"}}}, `backends: address "nowhere": want unix:/path or host:port; http+unix:/path and http://host:port name the protocol: fcgi, scgi, uwsgi or http`},
		{Config{ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/run/app.sock"}, Preset: "php"}}, `cgi: root: preset "php" needs the directory of its scripts`},
		{Config{ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/run/app.sock"}, Preset: "php"}, SiteConfig: SiteConfig{Root: "/nowhere/at/all"}}, ""},
	} {
		err := c.cfg.Validate()
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
	cfg := Config{ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/run/app.sock"}}}
	if err := cfg.Validate(); err != nil || cfg.Workers != 0 || cfg.Reserve != nil {
		t.Errorf("Validate changed the configuration: %+v", cfg)
	}
}
