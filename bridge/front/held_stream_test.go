//go:build linux

package front_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

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

// Early hints with what goes on with a stream have no place in it.
func TestHeldStreamHasNoHints(t *testing.T) {
	r := newHoldRig(t, func(w http.ResponseWriter, req *http.Request) {
		if req.FormValue("next") == "" {
			says(w, req)
			return
		}
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nthe end.")
	}, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		_, from := asks(t, addr, "/held?Grip-Hold=stream&Grip-Channel=hints&Grip-Link=</held?next=1>%3B+rel=next%3B+timeout=1&b=hello.")
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		if all, err := io.ReadAll(resp.Body); string(all) != "hello.the end." || err != nil {
			t.Errorf("%q, %v", all, err)
		}
	})
}

// A sign of life without content is none: an empty chunk would be the end of the stream.
func TestHeldStreamSaysNothing(t *testing.T) {
	r := newHoldRig(t, says, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		_, from := asks(t, addr, "/held?Grip-Hold=stream&Grip-Channel=flow&Grip-Keep-Alive=%3B+timeout%3D1&b=hello.")
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantNext(t, resp.Body, "hello.")
		r.wantHeld(t, 1)
		time.Sleep(1200 * time.Millisecond)
		r.publish(t, holdKey, item("flow", "one."))
		wantNext(t, resp.Body, "one.")
		r.publish(t, holdKey, map[string]any{"channel": "flow", "http-stream": map[string]any{"action": "close", "content": ""}})
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
			t.Errorf("the end: %q, %v", rest, err)
		}
	})
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
