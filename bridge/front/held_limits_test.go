//go:build linux

package front_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

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
