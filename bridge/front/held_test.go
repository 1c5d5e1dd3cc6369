//go:build linux

package front_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// More clients are held than there are workers. What is published is their answer, the connection
// goes on, and the worker was free all the time.
func TestHeldAnswers(t *testing.T) {
	r := newHoldRig(t, says, func(c *bridge.Config) { c.Workers = 2 })
	r.onBoth(t, func(t *testing.T, addr string) {
		const n = 50
		var conns []net.Conn
		var answers []*bufio.Reader
		for range n {
			c, from := asks(t, addr, "/held?Grip-Hold=response&Grip-Channel=news&Content-Type=text/x-late&b=late")
			conns, answers = append(conns, c), append(answers, from)
		}
		r.wantHeld(t, n)
		if s := r.handler.Snapshot().Gate; s.InUse+s.Waiting != 0 {
			t.Errorf("%d workers in use, %d wait", s.InUse, s.Waiting)
		}
		if status := r.publish(t, "wrong", item("news", "nothing")); status != http.StatusUnauthorized {
			t.Errorf("without the key: %d", status)
		}
		if status := r.publish(t, holdKey, item("other", "nothing"), item("news", "new")); status != http.StatusOK {
			t.Fatalf("published: %d", status)
		}
		for i, from := range answers {
			resp, body := answerOf(t, from)
			if body != "new" || resp.Header.Get("X-Msg") != "m" || resp.Header.Get("X-Of") != "app" || resp.Header.Get("Content-Type") != "text/x-late" {
				t.Fatalf("%d: %q %v", i, body, resp.Header)
			}
			for name := range resp.Header {
				if strings.HasPrefix(name, "Grip-") || name == "X-Accel-Redirect" {
					t.Errorf("the client sees %s", name)
				}
			}
		}
		r.wantHeld(t, 0)
		_, _ = io.WriteString(conns[0], "GET /echo?again HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, body := answerOf(t, answers[0]); !strings.HasPrefix(body, "GET /echo?again") {
			t.Errorf("afterwards: %q", body)
		}
	})
	r.wantIdle(t)
}

// Without a message the client gets what the application has answered, in time.
func TestHeldExpires(t *testing.T) {
	r := newHoldRig(t, says, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		_, from := asks(t, addr, "/held?Grip-Hold=response&Grip-Channel=quiet&Grip-Timeout=1&Grip-Status=202&b=late")
		begin := time.Now()
		resp, body := answerOf(t, from)
		if body != "late" || resp.StatusCode != 202 || time.Since(begin) < 900*time.Millisecond {
			t.Errorf("%d %q after %v", resp.StatusCode, body, time.Since(begin))
		}
	})
	for _, o := range r.outcomesOf(202) {
		if o.HeldEnd != "expired" || o.Held < 900*time.Millisecond {
			t.Errorf("the outcome: %q, %v", o.HeldEnd, o.Held)
		}
	}
}

// An answer that says something else than GRIP knows is an error, and nobody waits.
func TestHeldMistakes(t *testing.T) {
	r := newHoldRig(t, says, func(c *bridge.Config) { c.Hold.Channels, c.Hold.Message = 2, 1000 })
	r.onBoth(t, func(t *testing.T, addr string) {
		for _, query := range []string{
			"Grip-Hold=response", "Grip-Hold=forever&Grip-Channel=a", "Grip-Hold=response&Grip-Channel=a&Grip-Timeout=soon",
			"Grip-Hold=response&Grip-Channel=a,+b,+c", "Grip-Hold=stream&Grip-Channel=a&Grip-Link=http://other/",
			"Grip-Hold=response&Grip-Channel=a&b=" + strings.Repeat("x", 1001), "Content-Type=application/grip-instruct&b=nothing",
		} {
			_, from := asks(t, addr, "/held?"+query)
			if resp, _ := answerOf(t, from); resp.StatusCode != 502 || !strings.Contains(resp.Header.Get("Proxy-Status"), "http_protocol_error") {
				t.Errorf("%s: %d %v", query, resp.StatusCode, resp.Header)
			}
		}
	})
	r.wantHeld(t, 0)
}

// The same in JSON.
func TestHeldByJSON(t *testing.T) {
	r := newHoldRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grip-instruct")
		_, _ = io.WriteString(w, `{"hold": {"mode": "response", "channels": [{"name": "json"}], "timeout": 1}, "response": {"code": 203, "headers": {"Content-Type": "text/x-said"}, "body": "nothing new"}}`)
	}, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		_, from := asks(t, addr, "/held")
		r.wantHeld(t, 1)
		if resp, body := answerOf(t, from); resp.StatusCode != 203 || body != "nothing new" || resp.Header.Get("Content-Type") != "text/x-said" {
			t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
		}
	})
}

// The application is told what it may do, and nobody else can tell it.
func TestHeldRequestFields(t *testing.T) {
	r := newHoldRig(t, func(w http.ResponseWriter, req *http.Request) {
		for name := range req.Header {
			if strings.HasPrefix(strings.ToLower(name), "grip") {
				fmt.Fprintf(w, "%s: %s\n", name, req.Header.Get(name))
			}
		}
	}, func(c *bridge.Config) { c.UnderscoreHeaders = []string{"grip_sig"} })
	r.onBoth(t, func(t *testing.T, addr string) {
		_, from := asks(t, addr, "/held", "Grip-Sig: forged\r\n", "Grip_Sig: forged\r\n", "grip-last: forged\r\n", "Grip-Other: forged\r\n")
		_, body := answerOf(t, from)
		if strings.Contains(body, "forged") || strings.Count(body, "\n") != 2 || !strings.Contains(body, "Grip-Feature: status") || strings.Count(body, ".") < 2 {
			t.Errorf("%q", body)
		}
	})
}

// Without the setting, nothing is done, and everything is passed.
func TestNotHeld(t *testing.T) {
	r := newRig(t, nil, nil)
	r.holds = func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Sig", req.Header.Get("Grip-Sig"))
		says(w, req)
	}
	r.onBoth(t, func(t *testing.T, addr string) {
		_, from := asks(t, addr, "/held?Grip-Hold=response&Grip-Channel=a&b=at+once", "Grip-Sig: of another\r\n")
		resp, body := answerOf(t, from)
		if body != "at once" || resp.Header.Get("Grip-Hold") != "response" || resp.Header.Get("X-Sig") != "of another" {
			t.Errorf("%q %v", body, resp.Header)
		}
	})
}

// A stream may come in pages, without anybody who waits.
func TestHeldPages(t *testing.T) {
	r := newHoldRig(t, func(w http.ResponseWriter, req *http.Request) {
		page := req.FormValue("page")
		if page != "3" {
			w.Header().Set("Grip-Link", fmt.Sprintf("</held?page=%d>; rel=next", len(page)+2))
		}
		fmt.Fprintf(w, "page %s.", page)
	}, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		_, from := asks(t, addr, "/held?page=")
		if _, body := answerOf(t, from); body != "page .page 2.page 3." {
			t.Errorf("%q", body)
		}
	})
	r.wantHeld(t, 0)
	r.wantIdle(t)
}

// With an authorizer, who is asked for again must be let pass again.
func TestHeldBehindAuthorizer(t *testing.T) {
	var asked atomic.Int32
	guard := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if asked.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusForbidden)
		}
		if req.Header.Get("Grip-Sig") != "" {
			t.Error("the authorizer has the signature")
		}
	}))
	defer guard.Close()
	r := newHoldRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Grip-Last") != "" {
			t.Error("the application was asked again")
		}
		says(w, req)
	}, func(c *bridge.Config) { c.Authorizer = &config.Authorizer{Address: guard.URL} })
	r.onBoth(t, func(t *testing.T, addr string) {
		_, from := asks(t, addr, "/held?Grip-Hold=response&Grip-Channel=guarded%3B+prev-id=1&b=late")
		r.wantHeld(t, 1)
		r.publish(t, holdKey, map[string]any{"channel": "guarded", "http-response": map[string]any{"action": "hint"}})
		if resp, body := answerOf(t, from); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
	})
	r.wantHeld(t, 0)
	r.wantIdle(t)
}
