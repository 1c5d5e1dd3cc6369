package bridge

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// Whatever is wrong with an authorizer, nothing passes.
func TestAuthorizerFails(t *testing.T) {
	answer := func(records ...func(id uint16) []byte) fcgitest.Script {
		return fcgitest.Once(func(s *fcgitest.Session, q *fcgitest.Request) {
			for _, record := range records {
				s.Send(record(q.ID))
			}
		})
	}
	out := func(text string) func(uint16) []byte {
		return func(id uint16) []byte { return fcgitest.Out(id, text) }
	}
	for name, c := range map[string]struct {
		script fcgitest.Script
		status int
		kind   string
	}{
		"silent": {func(s *fcgitest.Session) { s.Request(); s.Hold() }, 504, "http_response_timeout"},
		"silent after its header": {fcgitest.Once(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.Send(fcgitest.Out(q.ID, "Status: 200\n\n"))
			s.Hold()
		}), 504, "http_response_timeout"},
		"killed in its header":    {answer(out("Status: 200\nVariable-A")), 502, "http_response_incomplete"},
		"killed after its header": {answer(out("Status: 200\n\n")), 502, "http_response_incomplete"},
		"a responder":             {fcgitest.Refuse(fcgitest.UnknownRole), 502, "http_protocol_error"},
		"not FastCGI":             {func(s *fcgitest.Session) { s.Request(); _, _ = io.WriteString(s.Conn, "HTTP/1.1 200 OK\r\n\r\n") }, 502, "http_protocol_error"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := Config{}
				cfg.ApplicationConfig.Timeouts.Authorizer = config.Duration(3 * time.Second)
				r, _ := newGuardedRig(t, cfg, c.script)
				re := r.get("/")
				if re.status != c.status || re.header.Get("Proxy-Status") != "sluice; error="+c.kind+`; details="authorizer"` || !strings.Contains(re.body, "The authorizer") {
					t.Errorf("%+v", re)
				}
				if re.after > 3*time.Second+time.Millisecond {
					t.Errorf("after %v", re.after)
				}
				if o := r.outcome(); o.Authorizer != "failed" || r.peer.Accepted() != 0 {
					t.Errorf("%+v, %d connections to the application", o, r.peer.Accepted())
				}
				if !strings.Contains(r.log.String(), `error="authorizer: `) {
					t.Errorf("log %s", r.log)
				}
			})
		})
	}
}

func TestAuthorizerIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, authorizer := newGuardedRig(t, Config{}, passport)
		authorizer.Stop()
		re := r.send(as("jane", "GET", "/", ""))
		if re.status != 502 || !strings.Contains(re.body, "The authorizer is not running.") || r.peer.Accepted() != 0 {
			t.Errorf("%+v", re)
		}
		authorizer.Resume()
		time.Sleep(time.Minute)
		if re := r.send(as("jane", "GET", "/", "")); re.status != 200 {
			t.Errorf("%+v", re)
		}
	})
}

// An answer of the authorizer that ends early lets nobody pass, wherever it ends: at each of its
// bytes, and with each way in which a connection can end.
func TestAuthorizerEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := func(id uint16) []byte {
			return slices.Concat(
				fcgitest.Out(id, "Status: 200 OK\r\nVariable-REMOTE_USER: jane\r\n\r\nwelcome"),
				fcgitest.Record(fcgitest.Stdout, id, nil), fcgitest.End(id))
		}
		var at int
		r, _ := newGuardedRig(t, Config{}, fcgitest.Once(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.Send(whole(q.ID)[:at])
		}))
		size := len(whole(1))
		// The empty STDOUT record ends the answer: what follows it is the end of the request.
		complete := size - len(fcgitest.End(1))
		for at = range size + 1 {
			seen := len(r.peer.Requests())
			re := r.get("/")
			if passed := re.status == 200; passed != (at >= complete) || !passed && re.status != 502 || len(r.peer.Requests())-seen != map[bool]int{true: 1}[passed] {
				t.Errorf("after %d bytes of %d: %d %q", at, size, re.status, re.body)
			}
		}
	})
}
