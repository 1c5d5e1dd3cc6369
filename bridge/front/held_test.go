//go:build linux

package front_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

const holdKey = "a key of more than sixteen bytes"

// newHoldRig is newRig for an application that may have its clients held.
func newHoldRig(t *testing.T, app http.HandlerFunc, change func(*bridge.Config)) *rig {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(holdKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *bridge.Config) {
		c.Hold = &config.Hold{KeyFile: key}
		if change != nil {
			change(c)
		}
	}, nil)
	r.holds = app
	return r
}

// says answers with the fields in the query, and the body b: "?Grip-Hold=response&b=late".
func says(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	for name, values := range query {
		if name != "b" {
			w.Header()[http.CanonicalHeaderKey(name)] = values
		}
	}
	w.Header().Set("X-Of", "app")
	_, _ = io.WriteString(w, query.Get("b"))
}

// publish publishes as a publisher would, and returns the status.
func (r *rig) publish(t *testing.T, token string, items ...map[string]any) int {
	t.Helper()
	body, err := json.Marshal(map[string]any{"items": items})
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest("POST", "/publish/", bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	bridge.PublishHandler(func() []*bridge.Application { return []*bridge.Application{r.handler.Application()} }).ServeHTTP(w, req)
	return w.Code
}

// item is one with both formats.
func item(channel, text string, ids ...string) map[string]any {
	i := map[string]any{"channel": channel, "formats": map[string]any{
		"http-response": map[string]any{"code": 200, "headers": map[string]string{"X-Msg": "m"}, "body": text},
		"http-stream":   map[string]any{"content": text},
	}}
	if len(ids) > 0 {
		i["id"] = ids[0]
	}
	if len(ids) > 1 {
		i["prev-id"] = ids[1]
	}
	return i
}

func (r *rig) wantHeld(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d clients are held", n), func() error {
		if got := r.handler.Snapshot().Hold.Clients; got != n {
			return fmt.Errorf("%d are", got)
		}
		return nil
	})
}

// asks sends a request, and returns what the answers are read from.
func asks(t *testing.T, addr, target string, fields ...string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := dial(t, addr)
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", target, strings.Join(fields, "")); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func answerOf(t *testing.T, from *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%q, %v", body, err)
	}
	return resp, string(body)
}

// onBoth runs a test on both fronts.
func (r *rig) onBoth(t *testing.T, f func(t *testing.T, addr string)) {
	for name, addr := range map[string]string{"loop": r.loop, "net": r.net} {
		t.Run(name, func(t *testing.T) { f(t, addr) })
	}
}

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
				if strings.HasPrefix(name, "Grip-") {
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

// A stream has what the application has sent first, what is published, and a sign of life in between.
// Whoever publishes can end it.
func TestHeldStream(t *testing.T) {
	r := newHoldRig(t, says, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		_, from := asks(t, addr, `/held?Grip-Hold=stream&Grip-Channel=flow&Grip-Keep-Alive=:\n\n%3B+format%3Dcstring%3B+timeout%3D1&Content-Type=text/event-stream&b=hello.`)
		resp, err := http.ReadResponse(from, nil)
		if err != nil || resp.Header.Get("Content-Type") != "text/event-stream" || len(resp.TransferEncoding) != 1 {
			t.Fatal(resp, err)
		}
		wantNext(t, resp.Body, "hello.")
		r.wantHeld(t, 1)
		r.publish(t, holdKey, item("flow", "one."), item("flow", "two."))
		wantNext(t, resp.Body, "one.two.")
		wantNext(t, resp.Body, ":\n\n")
		r.publish(t, holdKey, map[string]any{"channel": "flow", "http-stream": map[string]any{"action": "close", "content": ""}})
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
			t.Errorf("the end: %q, %v", rest, err)
		}
		r.wantHeld(t, 0)
	})
}

func wantNext(t *testing.T, from io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(from, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got[:n], err, want)
	}
}

// A message may require that its reader waits on another channel, too.
func TestHeldRequireSub(t *testing.T) {
	r := newHoldRig(t, says, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		_, from := asks(t, addr, "/held?Grip-Hold=stream&Grip-Channel=flow%3B+filter%3Drequire-sub,+staff&b=hello.")
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantNext(t, resp.Body, "hello.")
		r.wantHeld(t, 1)
		requires := func(channel, text string) map[string]any {
			i := item("flow", text)
			i["meta"] = map[string]string{"require_sub": channel}
			return i
		}
		r.publish(t, holdKey, requires("staff", "one."), requires("board", "two."), item("flow", "three."))
		wantNext(t, resp.Body, "one.three.")
		r.publish(t, holdKey, map[string]any{"channel": "flow", "http-stream": map[string]any{"action": "close", "content": ""}})
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
			t.Errorf("the end: %q, %v", rest, err)
		}
		r.wantHeld(t, 0)
	})
}

// To an old client the end of the connection is the end of a stream.
func TestHeldStreamHTTP10(t *testing.T) {
	r := newHoldRig(t, says, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		c := dial(t, addr)
		fmt.Fprintf(c, "GET /held?Grip-Hold=stream&Grip-Channel=old&b=hello. HTTP/1.0\r\n\r\n")
		r.wantHeld(t, 1)
		r.publish(t, holdKey, item("old", "one."), map[string]any{"channel": "old", "http-stream": map[string]any{"action": "close"}})
		all, err := io.ReadAll(c)
		if err != nil || !strings.HasSuffix(string(all), "\r\n\r\nhello.one.") {
			t.Errorf("%q, %v", all, err)
		}
	})
}

// A client that has left, or was reset, is held no more.
func TestHeldClientLeaves(t *testing.T) {
	r := newHoldRig(t, says, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		for _, mode := range []string{"response", "stream"} {
			for _, reset := range []bool{false, true} {
				c, from := asks(t, addr, "/held?Grip-Hold="+mode+"&Grip-Channel=gone&b=hello.")
				if mode == "stream" {
					if _, err := http.ReadResponse(from, nil); err != nil {
						t.Fatal(err)
					}
				}
				r.wantHeld(t, 1)
				if reset {
					_ = c.(*net.TCPConn).SetLinger(0)
				}
				_ = c.Close()
				r.wantHeld(t, 0)
			}
		}
	})
	if s := r.handler.Snapshot().Hold; s.Channels != 0 || s.Ended["left"] != 8 {
		t.Errorf("%+v", s)
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

// A client that has missed something is asked for again, once, with the last id. It has what the
// application says then.
func TestHeldRecovers(t *testing.T) {
	var last atomic.Value
	var asked atomic.Int32
	r := newHoldRig(t, func(w http.ResponseWriter, req *http.Request) {
		if seen := req.Header.Get("Grip-Last"); seen != "" {
			last.Store(seen)
			asked.Add(1)
			_, _ = io.WriteString(w, "two")
			return
		}
		w.Header().Set("Grip-Hold", "response")
		w.Header().Set("Grip-Channel", "count; prev-id=1")
		_, _ = io.WriteString(w, "late")
	}, nil)
	r.publish(t, holdKey, item("count", "one", "1"), item("count", "two", "2", "1"))
	r.onBoth(t, func(t *testing.T, addr string) {
		asked.Store(0)
		_, from := asks(t, addr, "/held")
		if _, body := answerOf(t, from); body != "two" || last.Load() != "count; last-id=1" || asked.Load() != 1 {
			t.Errorf("%q; Grip-Last: %v, asked again %d times", body, last.Load(), asked.Load())
		}
	})
	if s := r.handler.Snapshot().Hold; s.Recovering+s.Waiting+s.Clients != 0 || s.Ended["recovered"] != 2 {
		t.Errorf("%+v", s)
	}
	r.wantIdle(t)
}

// A stream that has missed something goes on with what its next link leads to: what was missed, and
// then what is published.
func TestHeldStreamRecovers(t *testing.T) {
	r := newHoldRig(t, func(w http.ResponseWriter, req *http.Request) {
		h, channel := w.Header(), req.FormValue("c")
		h.Set("Grip-Hold", "stream")
		h.Set("Content-Type", "text/plain")
		if req.FormValue("after") == "" {
			h.Set("Grip-Channel", channel+"; prev-id=1")
			h.Set("Grip-Link", "</held?c="+channel+"&after=1>; rel=next")
			_, _ = io.WriteString(w, "one.")
			return
		}
		h.Set("Grip-Channel", channel+"; prev-id=3")
		h.Set("Grip-Link", "</held?c="+channel+"&after=3>; rel=next")
		_, _ = io.WriteString(w, "two.three.")
	}, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		channel := addr
		r.publish(t, holdKey, item(channel, "three.", "3"))
		_, from := asks(t, addr, "/held?c="+channel)
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantNext(t, resp.Body, "one.two.three.")
		r.wantHeld(t, 1)
		r.publish(t, holdKey, item(channel, "four.", "4", "3"))
		wantNext(t, resp.Body, "four.")
		if s := r.handler.Snapshot().Hold; s.Recovering+s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
		r.publish(t, holdKey, map[string]any{"channel": channel, "http-stream": map[string]any{"action": "close"}})
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
			t.Errorf("the end: %q, %v", rest, err)
		}
	})
}

// A stream that cannot go on is cut, and does not look complete.
func TestHeldStreamIsCut(t *testing.T) {
	r := newHoldRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.FormValue("next") != "" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		says(w, req)
	}, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		for _, query := range []string{
			"Grip-Hold=stream&Grip-Channel=lost%3B+prev-id=1&b=hello.", // nobody can be asked
			"Grip-Hold=stream&Grip-Channel=lost%3B+prev-id=1&Grip-Link=</held?next=1>%3B+rel=next&b=hello.",
		} {
			_, from := asks(t, addr, "/held?"+query)
			resp, err := http.ReadResponse(from, nil)
			if err != nil {
				t.Fatal(err)
			}
			wantNext(t, resp.Body, "hello.")
			r.wantHeld(t, 1)
			r.publish(t, holdKey, map[string]any{"channel": "lost", "http-stream": map[string]any{"action": "hint"}})
			if rest, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("%s: seems complete after %q", query, rest)
			}
		}
	})
	r.wantHeld(t, 0)
	r.wantIdle(t)
}

// A client that takes nothing of its stream is cut when too much waits for it.
func TestHeldStreamIsSlow(t *testing.T) {
	r := newHoldRig(t, says, nil)
	text := strings.Repeat("x", 60<<10)
	r.onBoth(t, func(t *testing.T, addr string) {
		before := r.handler.Snapshot().Hold.Ended["slow"]
		_, from := asks(t, addr, "/held?Grip-Hold=stream&Grip-Channel=flood&b=hello.")
		if _, err := http.ReadResponse(from, nil); err != nil {
			t.Fatal(err)
		}
		r.wantHeld(t, 1)
		eventually(t, "the client is cut", func() error {
			r.publish(t, holdKey, item("flood", text))
			if r.handler.Snapshot().Hold.Ended["slow"] == before {
				return fmt.Errorf("it is not")
			}
			return nil
		})
		r.wantHeld(t, 0)
		if _, err := io.Copy(io.Discard, from); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Error(err)
		}
	})
	eventually(t, "both requests have ended", func() error {
		if n := r.handler.InFlight(); n != 0 {
			return fmt.Errorf("%d have not", n)
		}
		return nil
	})
}

// More than may be are told to come back.
func TestHeldLimits(t *testing.T) {
	r := newHoldRig(t, says, func(c *bridge.Config) {
		c.Client.Key = "header X-User"
		c.Hold.Clients, c.Hold.ClientLimit, c.Hold.ChannelLimit = 4, 2, 3
	})
	r.onBoth(t, func(t *testing.T, addr string) {
		hold := func(user, channel string) (net.Conn, *bufio.Reader) {
			return asks(t, addr, "/held?Grip-Hold=response&Grip-Channel="+channel, "X-User: "+user+"\r\n")
		}
		refused := func(why, user, channel string) {
			t.Helper()
			_, from := hold(user, channel)
			if resp, _ := answerOf(t, from); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %v", why, resp.StatusCode, resp.Header)
			}
		}
		var conns []net.Conn
		keep := func(user, channel string) {
			c, _ := hold(user, channel)
			conns = append(conns, c)
			r.wantHeld(t, len(conns))
		}
		keep("ann", "a")
		keep("ann", "a")
		refused("one client", "ann", "b")
		keep("bob", "a")
		refused("one channel", "cid", "a")
		keep("cid", "b")
		refused("all", "dan", "c")
		for _, c := range conns {
			_ = c.Close()
		}
		r.wantHeld(t, 0)
	})
	if n := r.handler.Snapshot().Hold.Refused; n != 6 {
		t.Errorf("%d were refused", n)
	}
}

// When the site is drained, single answers are what the application has said, and streams end.
func TestHeldDrain(t *testing.T) {
	for _, front := range []string{"loop", "net"} {
		t.Run(front, func(t *testing.T) {
			r := newHoldRig(t, says, nil)
			addr := map[string]string{"loop": r.loop, "net": r.net}[front]
			_, answer := asks(t, addr, "/held?Grip-Hold=response&Grip-Channel=a&b=late")
			_, stream := asks(t, addr, "/held?Grip-Hold=stream&Grip-Channel=a&b=hello.")
			r.wantHeld(t, 2)
			r.handler.Refuse()
			if resp, body := answerOf(t, answer); body != "late" || !resp.Close {
				t.Errorf("%q %v", body, resp.Header)
			}
			if _, body := answerOf(t, stream); body != "hello." {
				t.Errorf("%q", body)
			}
			if err := r.handler.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
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

// However many have missed something, they are asked for again a few at a time; and one for whom that is
// in vain gets what the application has said.
func TestHeldRecoverInTurn(t *testing.T) {
	var asking, most, asked atomic.Int32
	r := newHoldRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Grip-Last") != "" {
			most.Store(max(most.Load(), asking.Add(1)))
			asked.Add(1)
			time.Sleep(time.Millisecond)
			defer asking.Add(-1)
		}
		w.Header().Set("Grip-Hold", "response")
		w.Header().Set("Grip-Channel", "turns; prev-id=1") // it never learns
		_, _ = io.WriteString(w, "late")
	}, func(c *bridge.Config) { c.Workers, c.Hold.Recover = 8, 1 })
	r.onBoth(t, func(t *testing.T, addr string) {
		const n = 20
		asked.Store(0)
		var answers []*bufio.Reader
		for range n {
			_, from := asks(t, addr, "/held")
			answers = append(answers, from)
		}
		if r.handler.Snapshot().Hold.Published == 0 {
			r.wantHeld(t, n)
			r.publish(t, holdKey, item("turns", "one", "1"), item("turns", "two", "2", "0"), item("turns", "three", "3", "2"))
		}
		for _, from := range answers {
			if _, body := answerOf(t, from); body != "late" {
				t.Errorf("%q", body)
			}
		}
		if got := asked.Load(); got != 5*n || most.Load() != 1 {
			t.Errorf("asked %d times again, %d at once", got, most.Load())
		}
	})
	if s := r.handler.Snapshot().Hold; s.Clients+s.Waiting+s.Recovering != 0 {
		t.Errorf("%+v", s)
	}
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

// Clients that come, leave, are slow, are answered, time out and are asked for again, all at once: each
// answer is one that its client may have, and nothing is left.
func TestHeldTurmoil(t *testing.T) {
	var last atomic.Int64
	r := newHoldRig(t, func(w http.ResponseWriter, req *http.Request) {
		h, id := w.Header(), last.Load()
		h.Set("Grip-Channel", fmt.Sprintf("turmoil; prev-id=%d", id))
		h.Set("Grip-Hold", req.FormValue("mode"))
		h.Set("Grip-Timeout", "1")
		h.Set("Grip-Link", "</held?mode=stream>; rel=next; timeout=1")
		fmt.Fprintf(w, "begin %d\n", id)
	}, func(c *bridge.Config) { c.Workers, c.Hold.Recover, c.Hold.Clients = 4, 2, 60 })
	stop := time.Now().Add(2 * time.Second)
	var busy sync.WaitGroup
	for i := range 40 {
		addr := []string{r.loop, r.net}[i%2]
		busy.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(i), 1))
			for time.Now().Before(stop) {
				mode := []string{"response", "stream"}[dice.IntN(2)]
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprintf(c, "GET /held?mode=%s HTTP/1.1\r\nHost: a\r\n\r\n", mode)
				if dice.IntN(3) == 0 { // it leaves
					time.Sleep(time.Duration(dice.IntN(30)) * time.Millisecond)
					if dice.IntN(2) == 0 {
						_ = c.(*net.TCPConn).SetLinger(0)
					}
					_ = c.Close()
					continue
				}
				_ = c.SetDeadline(time.Now().Add(time.Duration(50+dice.IntN(1500)) * time.Millisecond))
				if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
					lines := bufio.NewScanner(resp.Body)
					for lines.Scan() {
						if text := lines.Text(); resp.StatusCode == 200 && !strings.HasPrefix(text, "begin ") && !strings.HasPrefix(text, "item ") {
							t.Errorf("%s: %q", mode, text)
						}
					}
				}
				_ = c.Close()
			}
		})
	}
	for range 2 {
		busy.Go(func() {
			for time.Now().Before(stop) {
				id := last.Add(1)
				text := fmt.Sprintf("item %d\n", id)
				switch id % 9 {
				case 0:
					r.publish(t, holdKey, map[string]any{"channel": "turmoil", "http-stream": map[string]any{"action": "close"}})
				case 1:
					r.publish(t, holdKey, map[string]any{"channel": "turmoil", "http-response": map[string]any{"action": "hint"}})
				default:
					r.publish(t, holdKey, item("turmoil", text, fmt.Sprint(id), fmt.Sprint(id-1)))
				}
				time.Sleep(3 * time.Millisecond)
			}
		})
	}
	busy.Wait()
	r.wantHeld(t, 0)
	r.wantIdle(t)
	eventually(t, "all requests have ended", func() error {
		if n := r.handler.InFlight(); n != 0 {
			return fmt.Errorf("%d have not", n)
		}
		return nil
	})
	s := r.handler.Snapshot().Hold
	if t.Logf("%+v", s); s.Waiting+s.Recovering+s.Channels != 0 {
		t.Errorf("left: %+v", s)
	}
}
