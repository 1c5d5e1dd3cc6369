package probe

import (
	"testing"
	"testing/synctest"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// What the application is asked, and what its answer says.
func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		name   string
		script fcgitest.Script
		want   Answer
	}{
		{"a page", fcgitest.Hello, Answer{Status: 200, ContentType: "text/plain"}},
		{"an error", fcgitest.Answer("Status: 503 Busy\n\n"), Answer{Status: 503}},
		{"no header", fcgitest.Answer("Hello\n"), Answer{Note: "its header is not a CGI header; is this the right application?"}},
		{"nothing", fcgitest.EndWithoutStdout, Answer{Note: "its header is not a CGI header; is this the right application?"}},
		{"STDERR alone", fcgitest.StderrOnly, Answer{Stderr: "no such module", Note: "its header is not a CGI header; is this the right application?"}},
		{"php-cgi without a script", fcgitest.Answer("Status: 404 Not Found\r\nContent-type: text/html\r\n\r\nNo input file specified.\n"), Answer{
			Status: 404, ContentType: "text/html", Preset: "php",
			Note: "PHP was given no script that it can see, so it ran none; that is enough for a probe (--script FILE names one to run)",
		}},
		{"full", fcgitest.Refuse(fcgitest.Overloaded), Answer{Note: "it ended the request with OVERLOADED: it has no worker to spare now"}},
		{"another role", fcgitest.Refuse(fcgitest.UnknownRole), Answer{Note: "it ended the request with UNKNOWN_ROLE"}},
		{"much", fcgitest.Bytes(1 << 20), Answer{Status: 200, ContentType: "application/octet-stream"}},
		{"much on STDERR", fcgitest.StderrFlood(1 << 20), Answer{Status: 200, ContentType: "text/plain"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, err := run(t, fcgitest.Start(t, c.script), func(cfg *Config) { cfg.Max = 2 })
				if err != nil {
					t.Fatal(err)
				}
				got := r.Answer
				got.Bytes, got.TookMS = 0, 0
				if c.name == "much on STDERR" {
					c.want.Stderr = got.Stderr[:99]
				}
				if got != c.want {
					t.Errorf("%+v, want %+v", got, c.want)
				}
			})
		})
	}
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want map[string]string
	}{
		{Config{}, map[string]string{
			"REQUEST_METHOD": "GET", "REQUEST_URI": "/", "PATH_INFO": "/", "SCRIPT_NAME": "", "QUERY_STRING": "",
			"SERVER_PROTOCOL": "HTTP/1.1", "GATEWAY_INTERFACE": "CGI/1.1",
			"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", "HTTP_USER_AGENT": "sluice probe", "CONTENT_LENGTH": "",
		}},
		{Config{Path: "/a%20b?c=d"}, map[string]string{"REQUEST_URI": "/a%20b?c=d", "PATH_INFO": "/a b", "QUERY_STRING": "c=d"}},
		{Config{Script: "/srv/wiki/index.php"}, map[string]string{
			"SCRIPT_FILENAME": "/srv/wiki/index.php", "SCRIPT_NAME": "/index.php", "DOCUMENT_ROOT": "/srv/wiki", "REDIRECT_STATUS": "200", "REQUEST_URI": "/",
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			peer := fcgitest.Start(t, fcgitest.Hello)
			if _, err := run(t, peer, func(cfg *Config) { cfg.Path, cfg.Script = c.cfg.Path, c.cfg.Script }); err != nil {
				t.Fatal(err)
			}
			for _, r := range peer.Requests() {
				for name, want := range c.want {
					if got := r.Param(name); got != want {
						t.Errorf("%s is %q, want %q", name, got, want)
					}
				}
			}
		})
	}
}
