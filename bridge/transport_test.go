package bridge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

// A client in this process asks the application as any other does.
func TestTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Echo)
		client := &http.Client{Transport: &Transport{Handler: r.b}}
		for _, body := range []io.Reader{strings.NewReader("of known length"), io.LimitReader(strings.NewReader("of known length"), 100)} {
			res, err := client.Post("http://app.test/x?y=1", "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(res.Body)
			if !strings.HasSuffix(string(text), "\nof known length") || res.StatusCode != 200 || err != nil {
				t.Errorf("%d %q, %v", res.StatusCode, text, err)
			}
			res.Body.Close()
		}
		asked := r.peer.Requests()[1]
		for name, want := range map[string]string{"REQUEST_URI": "/x?y=1", "HTTP_HOST": "app.test", "CONTENT_LENGTH": "15", "REMOTE_ADDR": "127.0.0.1"} {
			if got := asked.Param(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	})
}

// What has failed is an error; what was refused is an answer.
func TestTransportErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{MaxBody: 10}}, fcgitest.EOFBeforeHeader)
		tr := &Transport{Handler: r.b}
		var failed *TransportError
		var conn *pool.Error
		res, err := tr.RoundTrip(httptest.NewRequest("GET", "/", nil))
		if !errors.As(err, &failed) || failed.Status != 502 || !errors.As(err, &conn) {
			t.Errorf("%v, %v", res, err)
		}
		res, err = tr.RoundTrip(httptest.NewRequest("POST", "/", strings.NewReader("more than ten bytes")))
		if err != nil || res.StatusCode != 413 {
			t.Errorf("%v, %v", res, err)
		}
		r.b.Refuse()
		res, err = tr.RoundTrip(httptest.NewRequest("GET", "/", nil))
		if err != nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
			t.Errorf("%v, %v", res, err)
		}
	})
}

// A reader that closes a body which goes on is a client that has left: nobody waits for the rest, also
// while the application is silent.
func TestTransportBodyClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Once(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.Send(fcgitest.Out(q.ID, "Content-Type: text/event-stream\r\n\r\ndata: one\n\n"))
			s.Gone()
		}))
		res, err := (&Transport{Handler: r.b}).RoundTrip(httptest.NewRequest("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if n := r.b.InFlight(); n != 1 {
			t.Fatalf("%d requests in flight", n)
		}
		closed := time.Now()
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := r.b.InFlight(); n != 0 || time.Since(closed) > 0 {
			t.Errorf("%d requests in flight %v after the body was closed", n, time.Since(closed))
		}
	})
}

// An answer that breaks off never looks complete, and one that nobody reads any more ends.
func TestTransportTruncates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.EOFInBody)
		res, err := (&Transport{Handler: r.b}).RoundTrip(httptest.NewRequest("GET", "/", nil))
		if err == nil {
			_, err = io.ReadAll(res.Body)
		}
		if err == nil {
			t.Error("a truncated answer looks complete")
		}
		r = newRig(t, Config{}, fcgitest.SilentForever)
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if res, err := (&Transport{Handler: r.b}).RoundTrip(httptest.NewRequest("GET", "/", nil).WithContext(ctx)); err == nil {
			t.Errorf("%v for a request that was given up", res)
		}
		time.Sleep(time.Minute) // the worker is charged until the application is given up, too
	})
}

// ExampleTransport-like use: a reverse proxy in front of the application.
func TestTransportBehindAReverseProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{TrustedProxies: []string{"192.0.2.1"}}}, fcgitest.Hello)
		proxy := &httputil.ReverseProxy{
			Transport: &Transport{Handler: r.b},
			Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(&url.URL{Scheme: "http", Host: "app.test"})
				p.SetXForwarded()
			},
		}
		w := httptest.NewRecorder()
		proxy.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != 200 || w.Body.String() != fcgitest.PageBody {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		if got := r.peer.Requests()[0].Param("REMOTE_ADDR"); got != "192.0.2.1" {
			t.Errorf("REMOTE_ADDR is %q", got)
		}
	})
}

// What a proxy has made of the URL is what the application is asked for, in HTTP as well.
func TestTransportOfARewrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHTTPRig(t, Config{}, httpAnswers(func(r *http.Request, _ string) []string { return []string{sized(r.RequestURI)} }))
		proxy := &httputil.ReverseProxy{
			Transport: &Transport{Handler: r.b},
			Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(&url.URL{Scheme: "http", Host: "app.test", Path: "/base"}) },
		}
		w := httptest.NewRecorder()
		proxy.ServeHTTP(w, httptest.NewRequest("GET", "/a%2Fb?c", nil))
		if got := w.Body.String(); w.Code != 200 || got != "/base/a%2Fb?c" {
			t.Errorf("%d, asked for %q", w.Code, got)
		}
	})
}
