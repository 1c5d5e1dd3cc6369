//go:build linux

package caddy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestTransport(t *testing.T) {
	a, b := startApp(t, echo), startApp(t, echo)
	s := start(t, fmt.Sprintf("reverse_proxy %s %s {\nlb_policy round_robin\ntransport sluice {\nworkers 4\n}\n}", a.addr, b.addr))
	for i := range 10 {
		s.want(s.ask("POST", "/x", fmt.Sprint(i)), 200, fmt.Sprintf("POST /x %d", i))
	}
	// One each, and one more if a request comes while it is found out whether it is kept.
	if a.accepted.Load() > 2 || b.accepted.Load() > 2 {
		t.Errorf("%d and %d connections, want one or two each", a.accepted.Load(), b.accepted.Load())
	}
	if list := s.state(); len(list) != 2 {
		t.Errorf("%+v, want an application for each upstream", list)
	}
}

// A request that could not be sent goes to another upstream, its body too.
func TestTransportRetries(t *testing.T) {
	for method, body := range map[string]string{"GET": "", "POST": "body"} {
		t.Run(method, func(t *testing.T) {
			a := startApp(t, echo)
			s := start(t, fmt.Sprintf("reverse_proxy unix//nowhere/app.sock %s {\nlb_policy first\nlb_retries 1\nfail_duration 1m\ntransport sluice\n}", a.addr))
			s.want(s.ask(method, "/x", body), 200, method+" /x "+body)
		})
	}
}

func TestTransportFails(t *testing.T) {
	s := start(t, "reverse_proxy unix//nowhere/app.sock {\ntransport sluice\n}\nhandle_errors {\nrespond {err.status_code}\n}")
	s.want(s.get("/"), 502, "502")
}

// A refusal is an answer: with the time to come again.
func TestTransportRefuses(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-release
		io.WriteString(w, "done")
	})
	s := start(t, fmt.Sprintf("reverse_proxy %s {\ntransport sluice {\nworkers 1\nlanes off\nqueue {\nsize 1\ntimeout 1ms\n}\n}\n}", a.addr))
	first := make(chan reply)
	go func() { first <- s.get("/") }()
	<-entered
	re := s.get("/")
	if re.status != 503 || re.header.Get("Retry-After") == "" || re.header.Get("Proxy-Status") == "" || !strings.Contains(re.body, "busy") {
		t.Errorf("%+v", re)
	}
	close(release)
	s.want(<-first, 200, "done")
}

// A client that leaves frees its worker.
func TestClientLeaves(t *testing.T) {
	for name, directive := range map[string]string{
		"handler":   "sluice %s {\nworkers 1\nlanes off\ntimeouts {\nabandoned 10ms\n}\n}",
		"transport": "reverse_proxy %s {\ntransport sluice {\nworkers 1\nlanes off\ntimeouts {\nabandoned 10ms\n}\n}\n}",
	} {
		t.Run(name, func(t *testing.T) {
			entered, release := make(chan struct{}, 1), make(chan struct{})
			a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/wait" {
					entered <- struct{}{}
					<-release
				}
				io.WriteString(w, "answered")
			})
			defer close(release)
			s := start(t, fmt.Sprintf(directive, a.addr))
			r, stop := newRequest(t, s.url+"/wait")
			left := make(chan error)
			go func() {
				_, err := s.client.Do(r)
				left <- err
			}()
			<-entered
			stop()
			if err := <-left; err == nil {
				t.Error("answered")
			}
			s.want(s.get("/"), 200, "answered")
		})
	}
}

// A body that reverse_proxy cannot give again is not sent in part to another upstream.
func TestTransportKeepsLargeBodiesWhole(t *testing.T) {
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	s := start(t, fmt.Sprintf("reverse_proxy unix//nowhere/app.sock %s {\nlb_policy first\nlb_retries 1\nfail_duration 1m\ntransport sluice\n}", a.addr))
	large := strings.Repeat("x", 200<<10)
	if re := s.ask("POST", "/x", large); re.status != 502 {
		t.Errorf("%+v", re)
	}
	s.want(s.ask("POST", "/x", large), 200, "204800") // the first upstream is known to be down now
}

// A reload that does not change the transport keeps its upstreams.
func TestTransportReload(t *testing.T) {
	a, b := startApp(t, echo), startApp(t, echo)
	directives := fmt.Sprintf("reverse_proxy %s %s {\nlb_policy round_robin\ntransport sluice {\ntimeouts {\nidle 1m\n}\n}\n}", a.addr, b.addr)
	s := start(t, directives)
	for i := range 10 {
		s.want(s.get("/x"), 200, "GET /x ")
		s.want(s.get("/y"), 200, "GET /y ")
		s.load(fmt.Sprintf("header X-Reload %d\n%s", i, directives))
	}
	// One each, and one more if a request comes while it is found out whether it is kept.
	if a.accepted.Load() > 2 || b.accepted.Load() > 2 {
		t.Errorf("%d and %d connections, want one or two each", a.accepted.Load(), b.accepted.Load())
	}
	s.untouched()
	s.load("respond other")
	if list := s.state(); len(list) != 0 {
		t.Errorf("still in use: %+v", list)
	}
}

// Caddy's active health checks go through the transport, too.
func TestTransportHealthChecks(t *testing.T) {
	checked := make(chan struct{}, 100)
	well := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			checked <- struct{}{}
			return
		}
		echo(w, r)
	}
	ill := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		if r.URL.Path == "/health" {
			checked <- struct{}{}
		}
	}
	a, b := startApp(t, ill), startApp(t, well)
	s := start(t, fmt.Sprintf("reverse_proxy %s %s {\nlb_policy first\nhealth_uri /health\nhealth_interval 50ms\ntransport sluice\n}", a.addr, b.addr))
	for range 6 { // some for each
		<-checked
	}
	eventually(t, func() error { // Caddy acts on a check's answer some time after it was given
		if re := s.get("/x"); re.status != 200 || re.body != "GET /x " {
			return fmt.Errorf("%+v", re)
		}
		return nil
	})
}
