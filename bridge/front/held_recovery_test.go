//go:build linux

package front_test

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

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

// A stream that is told of news again and again goes on: what its application sends then is not in vain.
func TestHeldStreamIsHinted(t *testing.T) {
	r := newHoldRig(t, func(w http.ResponseWriter, req *http.Request) {
		h, channel := w.Header(), req.FormValue("c")
		h.Set("Grip-Hold", "stream")
		h.Set("Grip-Channel", channel)
		h.Set("Grip-Link", "</held?c="+channel+">; rel=next")
		_, _ = io.WriteString(w, "news.")
	}, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		_, from := asks(t, addr, "/held?c="+addr)
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			wantNext(t, resp.Body, "news.")
			r.wantHeld(t, 1)
			r.publish(t, holdKey, map[string]any{"channel": addr, "http-stream": map[string]any{"action": "hint"}})
		}
		wantNext(t, resp.Body, "news.")
		r.wantHeld(t, 1)
		r.publish(t, holdKey, map[string]any{"channel": addr, "http-stream": map[string]any{"action": "close"}})
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
			t.Errorf("the end: %q, %v", rest, err)
		}
	})
}

// A stream may come in as many pages as its application likes, each of which leads to the next.
func TestHeldStreamOfPages(t *testing.T) {
	r := newHoldRig(t, func(w http.ResponseWriter, req *http.Request) {
		n, _ := strconv.Atoi(req.FormValue("n"))
		if n < 9 {
			w.Header().Set("Grip-Link", "</held?n="+strconv.Itoa(n+1)+">; rel=next")
		}
		_, _ = io.WriteString(w, strconv.Itoa(n))
	}, nil)
	r.onBoth(t, func(t *testing.T, addr string) {
		_, from := asks(t, addr, "/held?n=0")
		if _, body := answerOf(t, from); body != "0123456789" {
			t.Errorf("%q", body)
		}
	})
	r.wantIdle(t)
}
