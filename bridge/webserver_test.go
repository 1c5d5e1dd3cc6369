package bridge

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// fromWebServer answers a request that has come with variables.
func (r *rig) fromWebServer(w http.ResponseWriter, v *cgi.Received) {
	r.t.Helper()
	req, err := v.Request(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	req.ContentLength = 0
	r.b.ServeHTTP(w, req)
}

// A web server's variables reach the application, and the script needs no root.
func TestWebServerVariables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cfg Config
		cfg.Preset, cfg.FromWebServer, cfg.Env = "php", true, map[string]string{"OWN": "1"}
		r := newRig(t, cfg, redirecting(map[string]string{"/a": fcgitest.Page}))
		w := httptest.NewRecorder()
		r.fromWebServer(w, &cgi.Received{Vars: []cgi.Var{{Name: "Z", Value: "1"}, {Name: "REQUEST_URI", Value: "/a"}, {Name: "SCRIPT_FILENAME", Value: "/srv/a.php"}, {Name: "REMOTE_USER", Value: "ann"}}})
		got := r.peer.Requests()
		if w.Code != http.StatusOK || len(got) != 1 || got[0].Param("SCRIPT_FILENAME") != "/srv/a.php" || got[0].Param("OWN") != "1" || got[0].Param("SERVER_SOFTWARE") != "" {
			t.Errorf("%d, %+v", w.Code, got)
		}
		if o := r.outcomes; len(o) != 1 || o[0].User != "ann" {
			t.Errorf("%+v", o)
		}
	})
}

// A local redirect and the fields for sending a file are for the web server: it knows what its
// other paths lead to.
func TestWebServerActs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, redirecting(map[string]string{
			"/from": "Location: /to\n\n", "/to": fcgitest.Page, "/file": "X-Accel-Redirect: /internal/x\nX-Sendfile: /srv/x\n\n",
		}))
		w := httptest.NewRecorder()
		r.fromWebServer(w, &cgi.Received{Vars: []cgi.Var{{Name: "REQUEST_URI", Value: "/from"}}})
		if w.Code != http.StatusFound || w.Header().Get("Location") != "/to" || len(r.peer.Requests()) != 1 {
			t.Errorf("%d %v after %d requests", w.Code, w.Header(), len(r.peer.Requests()))
		}
		w = httptest.NewRecorder()
		r.fromWebServer(w, &cgi.Received{Vars: []cgi.Var{{Name: "REQUEST_URI", Value: "/file"}}})
		if w.Header().Get("X-Accel-Redirect") != "/internal/x" || w.Header().Get("X-Sendfile") != "/srv/x" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	})
}

// withErrorLog is what a web server's error log is written to through.
type withErrorLog struct {
	http.ResponseWriter
	log bytes.Buffer
}

func (w *withErrorLog) ErrorLog() io.Writer { return &w.log }

// The application's standard error goes to the web server as well as to the log.
func TestWebServerErrorLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Each(func(s *fcgitest.Session, req *fcgitest.Request) {
			s.Send(fcgitest.Record(fcgitest.Stderr, req.ID, []byte("first\nsecond\n")), fcgitest.Out(req.ID, fcgitest.Page), fcgitest.Record(fcgitest.Stderr, req.ID, []byte("third\n")), fcgitest.End(req.ID))
		}))
		w := &withErrorLog{ResponseWriter: httptest.NewRecorder()}
		r.fromWebServer(w, &cgi.Received{Vars: []cgi.Var{{Name: "REQUEST_URI", Value: "/a"}}})
		if got := w.log.String(); got != "first\nsecond\nthird\n" {
			t.Errorf("the web server is told %q", got)
		}
		if !slices.ContainsFunc(strings.Split(r.log.String(), "\n"), func(line string) bool { return strings.Contains(line, "line=second") }) {
			t.Errorf("the log is not told: %s", r.log.String())
		}
	})
}

// An authorizer's request is one to the application, too.
func TestWebServerAuthorizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, redirecting(map[string]string{"/a": "Status: 200 OK\nvariable-WHO: ann\n\n"}))
		w := httptest.NewRecorder()
		name := "Variable-WHO" // not in canonical form
		r.fromWebServer(w, &cgi.Received{Authorizer: true, Vars: []cgi.Var{{Name: "REQUEST_URI", Value: "/a"}}})
		if w.Code != http.StatusOK || len(w.Header()[name]) != 1 {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	})
}
