//go:build linux

package front_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/fcgi"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// door is an application that notes whom it is told to be gone.
type door struct {
	mu    sync.Mutex
	gone  []string // targets, as they came
	asked []*http.Request

	rest http.HandlerFunc // answers everything else
	told http.HandlerFunc // answers as well, if it is not nil
}

func (d *door) answer(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		d.rest(w, req)
		return
	}
	body, err := io.ReadAll(req.Body)
	d.mu.Lock()
	d.gone = append(d.gone, fmt.Sprintf("%s%s", req.URL.RequestURI(), body))
	if err != nil {
		d.gone = append(d.gone, err.Error())
	}
	d.asked = append(d.asked, req)
	d.mu.Unlock()
	if d.told != nil {
		d.told(w, req)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// want waits until the application was told of these targets, and no others.
func (d *door) want(t *testing.T, r *rig, targets ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the application was told of %v", targets), func() error {
		if s := r.handler.Snapshot(); s.InFlight > 0 || s.Hold.Gone.Active+s.Hold.Gone.Waiting > 0 {
			return fmt.Errorf("%d requests are under way, %+v", s.InFlight, s.Hold.Gone)
		}
		return nil
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.gone, targets) {
		t.Errorf("it was told of %v, want %v", d.gone, targets)
	}
	d.gone, d.asked = nil, nil
}

// Whatever ends the time of a held client, the application is told once, by a request that shows who the
// client is.
func TestHeldGone(t *testing.T) {
	d := &door{rest: says}
	r := newHoldRig(t, d.answer, func(c *bridge.Config) { c.Hold.ChannelLimit = 1 })
	const link = "&Grip-Link=%3C/held/gone%3Fid=7%3E%3Brel=gone"
	r.onBoth(t, func(t *testing.T, addr string) {
		held := func(mode, more string) (net.Conn, *bufio.Reader) {
			t.Helper()
			c, from := asks(t, addr, "/held?Grip-Hold="+mode+"&Grip-Channel=door&b=hello."+more+link, "Cookie: user=ann\r\n", "If-None-Match: \"x\"\r\n", "Last-Event-ID: 5\r\n", "Content-Type: text/odd\r\n")
			if mode == "stream" {
				if _, err := http.ReadResponse(from, nil); err != nil {
					t.Fatal(err)
				}
			}
			r.wantHeld(t, 1)
			return c, from
		}
		t.Run("answered", func(t *testing.T) {
			_, from := held("response", "")
			r.publish(t, holdKey, item("door", "message"))
			answerOf(t, from)
			eventually(t, "a request", func() error {
				d.mu.Lock()
				defer d.mu.Unlock()
				if len(d.asked) == 0 {
					return fmt.Errorf("none")
				}
				h := d.asked[0].Header
				if h.Get("Cookie") != "user=ann" || h.Get("Grip-Sig") == "" || h.Get("If-None-Match")+h.Get("Last-Event-ID")+h.Get("Content-Type")+h.Get("Grip-Last") != "" || d.asked[0].Host != "a" {
					t.Errorf("%s %v", d.asked[0].Host, h)
				}
				return nil
			})
			d.want(t, r, "/held/gone?id=7")
		})
		t.Run("expired", func(t *testing.T) {
			_, from := held("response", "&Grip-Timeout=1")
			answerOf(t, from)
			d.want(t, r, "/held/gone?id=7")
		})
		for _, mode := range []string{"response", "stream"} {
			t.Run("left "+mode, func(t *testing.T) {
				c, _ := held(mode, "")
				_ = c.Close()
				d.want(t, r, "/held/gone?id=7")
			})
		}
		t.Run("closed", func(t *testing.T) {
			held("stream", "")
			r.publish(t, holdKey, map[string]any{"channel": "door", "http-stream": map[string]any{"action": "close"}})
			d.want(t, r, "/held/gone?id=7")
		})
		t.Run("never held", func(t *testing.T) {
			c, _ := asks(t, addr, "/held?Grip-Hold=response&Grip-Channel=door")
			r.wantHeld(t, 1)
			_, from := asks(t, addr, "/held?Grip-Hold=response&Grip-Channel=door"+link)
			if resp, _ := answerOf(t, from); resp.StatusCode != 503 {
				t.Errorf("%d", resp.StatusCode)
			}
			_ = c.Close()
			r.wantHeld(t, 0)
			d.want(t, r, "/held/gone?id=7")
		})
		t.Run("not to be held", func(t *testing.T) {
			_, from := asks(t, addr, "/held?b=x"+link)
			if _, body := answerOf(t, from); body != "x" {
				t.Errorf("%q", body)
			}
			d.want(t, r)
		})
	})
	if s := r.handler.Snapshot().Hold.Gone; s.Told != 12 || s.Failed+s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	told := 0
	r.mu.Lock()
	for i := range r.outcomes {
		if o := &r.outcomes[i]; o.Gone {
			told++
			if o.Status != 204 || o.Lane != "long" || !o.LongPoll || o.Client != "127.0.0.1" || o.HeldEnd != "" {
				t.Errorf("%+v", o)
			}
		}
	}
	r.mu.Unlock()
	if told != 12 {
		t.Errorf("%d were observed", told)
	}
	r.wantIdle(t)
}

// A long-poll that is asked for again is another one for the application, if that names another target;
// a stream that goes on is the same.
func TestHeldGoneAndRecovers(t *testing.T) {
	var n atomic.Int32
	d := &door{rest: func(w http.ResponseWriter, req *http.Request) {
		h, id := w.Header(), req.FormValue("id")
		if id == "" {
			id = fmt.Sprint(n.Add(1))
		}
		h.Set("Grip-Hold", req.FormValue("mode"))
		h.Set("Grip-Channel", "again")
		h.Set("Grip-Timeout", "1")
		h.Add("Grip-Link", "</held/gone?id="+id+">; rel=gone")
		h.Add("Grip-Link", "</held/next?mode=stream>; rel=next")
		_, _ = io.WriteString(w, "x")
	}}
	r := newHoldRig(t, d.answer, nil)
	hint := map[string]any{"channel": "again", "formats": map[string]any{"http-response": map[string]any{"action": "hint"}, "http-stream": map[string]any{"action": "hint"}}}
	again := func(t *testing.T) {
		t.Helper()
		r.wantHeld(t, 1)
		before := r.handler.Snapshot().Hold.Ended["recovered"]
		r.publish(t, holdKey, hint)
		eventually(t, "it was asked for again", func() error {
			if s := r.handler.Snapshot().Hold; s.Ended["recovered"] == before || s.Clients == 0 {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	}
	r.onBoth(t, func(t *testing.T, addr string) {
		t.Run("another", func(t *testing.T) {
			n.Store(0)
			_, from := asks(t, addr, "/held?mode=response")
			again(t)
			eventually(t, "the first is gone", func() error {
				d.mu.Lock()
				defer d.mu.Unlock()
				if len(d.gone) != 1 {
					return fmt.Errorf("%v", d.gone)
				}
				return nil
			})
			answerOf(t, from)
			d.want(t, r, "/held/gone?id=1", "/held/gone?id=2")
		})
		t.Run("the same", func(t *testing.T) {
			_, from := asks(t, addr, "/held?mode=response&id=5")
			again(t)
			answerOf(t, from)
			d.want(t, r, "/held/gone?id=5")
		})
		t.Run("a stream", func(t *testing.T) {
			n.Store(10)
			c, from := asks(t, addr, "/held?mode=stream")
			if _, err := http.ReadResponse(from, nil); err != nil {
				t.Fatal(err)
			}
			again(t)
			again(t)
			_ = c.Close()
			d.want(t, r, "/held/gone?id=11")
		})
	})
	r.wantIdle(t)
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// However many leave at once, a few are told of at a time, short requests are served meanwhile, and what
// is dropped is counted and said.
func TestHeldGoneFlood(t *testing.T) {
	const clients = 100
	var busy, most atomic.Int32
	var log syncBuffer
	d := &door{rest: says, told: func(w http.ResponseWriter, _ *http.Request) {
		most.Store(max(most.Load(), busy.Add(1)))
		time.Sleep(3 * time.Millisecond)
		busy.Add(-1)
		w.WriteHeader(http.StatusNoContent)
	}}
	r := newHoldRig(t, d.answer, func(c *bridge.Config) {
		c.Workers, c.Hold.Recover, c.Hold.Clients, c.Hold.ClientLimit = 8, 1, clients, clients
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	r.onBoth(t, func(t *testing.T, addr string) {
		for range 2 { // the second crowd finds those of the first still waiting
			var conns []net.Conn
			for range clients {
				c, from := asks(t, addr, "/held?Grip-Hold=stream&Grip-Channel=flood&b=x&Grip-Link=%3C/held/gone%3E%3Brel=gone")
				if _, err := http.ReadResponse(from, nil); err != nil {
					t.Fatal(err)
				}
				conns = append(conns, c)
			}
			for _, c := range conns {
				_ = c.Close()
			}
			began := time.Now()
			resp, err := http.Get("http://" + addr + "/echo")
			if err != nil || resp.StatusCode != 200 {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			t.Logf("a short request meanwhile took %v", time.Since(began))
			eventually(t, "all have left", func() error {
				if s := r.handler.Snapshot().Hold; s.Clients > 0 {
					return fmt.Errorf("%+v", s)
				}
				return nil
			})
		}
		eventually(t, "all were told of", func() error {
			if s := r.handler.Snapshot().Hold; s.Gone.Active+s.Gone.Waiting > 0 {
				return fmt.Errorf("%+v", s.Gone)
			}
			return nil
		})
	})
	s := r.handler.Snapshot().Hold.Gone
	t.Logf("%+v", s)
	if s.Told+s.Dropped != 4*clients || s.Failed != 0 || most.Load() != 1 {
		t.Errorf("%+v, %d at once", s, most.Load())
	}
	if err := r.handler.Close(); err != nil {
		t.Fatal(err)
	}
	if said := strings.Contains(log.String(), "not told that held clients are gone"); said != (s.Dropped > 0) {
		t.Errorf("%d were dropped, and the log says: %s", s.Dropped, log.String())
	}
}

// A drain waits until the application was told, for as long as it may take; Close does not.
func TestHeldGoneDrain(t *testing.T) {
	for _, front := range []string{"loop", "net"} {
		for _, patient := range []bool{true, false} {
			t.Run(fmt.Sprint(front, patient), func(t *testing.T) {
				go1 := make(chan struct{})
				d := &door{rest: says, told: func(w http.ResponseWriter, _ *http.Request) {
					<-go1
					w.WriteHeader(http.StatusNoContent)
				}}
				r := newHoldRig(t, d.answer, func(c *bridge.Config) { c.Workers, c.Hold.Recover = 8, 1 })
				addr := map[string]string{"loop": r.loop, "net": r.net}[front]
				for range 3 {
					_, from := asks(t, addr, "/held?Grip-Hold=stream&Grip-Channel=a&b=x&Grip-Link=%3C/held/gone%3E%3Brel=gone")
					if _, err := http.ReadResponse(from, nil); err != nil {
						t.Fatal(err)
					}
				}
				r.wantHeld(t, 3)
				r.handler.Refuse()
				eventually(t, "they are gone", func() error {
					if s := r.handler.Snapshot().Hold.Gone; s.Active != 1 || s.Waiting != 2 {
						return fmt.Errorf("%+v", s)
					}
					return nil
				})
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				if err := r.handler.Shutdown(ctx); err == nil {
					t.Error("Shutdown has not waited")
				}
				if patient {
					close(go1)
					if err := r.handler.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
				} else {
					_ = r.handler.Close() // the application is still at work
					close(go1)
				}
				want := bridge.GoneSnapshot{Told: 3}
				if !patient {
					want = bridge.GoneSnapshot{Dropped: 3}
				}
				eventually(t, "nothing is left", func() error {
					if s := r.handler.Snapshot().Hold.Gone; s != want {
						return fmt.Errorf("%+v, want %+v", s, want)
					}
					return nil
				})
			})
		}
	}
}

// What cannot be told is counted, and said once; the answer is of no use to anybody.
func TestHeldGoneFails(t *testing.T) {
	for name, c := range map[string]struct {
		target  string
		told    http.HandlerFunc
		refused bool // by log-in
		log     string
		want    bridge.GoneSnapshot
	}{
		"the application refuses": {"/held/gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, false, "status=403", bridge.GoneSnapshot{Failed: 2}},
		"elsewhere":               {"/other", nil, false, "leads nowhere", bridge.GoneSnapshot{Failed: 2}},
		"log-in refuses":          {"/held/gone", nil, true, "nobody", bridge.GoneSnapshot{Failed: 2}},
		"it would hold": {"/held/gone", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Grip-Hold", "stream")
			w.Header().Set("Grip-Channel", "a")
		}, false, "", bridge.GoneSnapshot{Told: 2}},
		"it redirects": {"/held/gone", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Location", "/echo") }, false, "", bridge.GoneSnapshot{Told: 2}},
		"it says much": {"/held/gone", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }, false, "", bridge.GoneSnapshot{Told: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			d := &door{rest: says, told: c.told}
			r := newHoldRig(t, d.answer, func(cfg *bridge.Config) {
				cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
				if c.target == "/other" {
					cfg.Mount = "/held"
				}
				cfg.Identify = func(req *http.Request, who *cgi.Client) {
					if c.refused && req.Method == http.MethodPost {
						who.Refused = &cgi.RequestError{Status: 401, Reason: "nobody"}
					}
				}
			})
			r.onBoth(t, func(t *testing.T, addr string) {
				conn, _ := asks(t, addr, "/held?Grip-Hold=response&Grip-Channel=a&Grip-Link=%3C"+c.target+"%3E%3Brel=gone")
				r.wantHeld(t, 1)
				_ = conn.Close()
				r.wantHeld(t, 0)
				eventually(t, "it is over", func() error {
					if s := r.handler.Snapshot(); s.InFlight > 0 {
						return fmt.Errorf("%d are in flight", s.InFlight)
					}
					return nil
				})
			})
			if s := r.handler.Snapshot().Hold.Gone; s != c.want {
				t.Errorf("%+v, want %+v", s, c.want)
			}
			if n := strings.Count(log.String(), "does not take it"); !strings.Contains(log.String(), c.log) || c.want.Failed > 0 != (n == 1) {
				t.Errorf("the log says: %s", log.String())
			}
			r.wantIdle(t)
		})
	}
}

// The authorizer is asked about what tells the application, as about what the client has asked. Its user is
// that of the request.
func TestHeldGoneAuthorized(t *testing.T) {
	var lets atomic.Bool
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "authorizer.sock"))
	if err != nil {
		t.Fatal(err)
	}
	authorizer := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Remote-User", "ann")
		if !lets.Load() {
			w.WriteHeader(http.StatusForbidden)
		}
	})}
	var served sync.WaitGroup
	served.Go(func() { _ = authorizer.Serve(l) })
	t.Cleanup(served.Wait)
	t.Cleanup(func() { _ = authorizer.Close() })
	var user atomic.Value
	d := &door{rest: says, told: func(w http.ResponseWriter, req *http.Request) {
		user.Store(fcgi.ProcessEnv(req)["REMOTE_USER"])
		w.WriteHeader(http.StatusNoContent)
	}}
	r := newHoldRig(t, d.answer, func(c *bridge.Config) {
		c.Authorizer = &config.Authorizer{Address: "http+unix:" + l.Addr().String() + ":/check", Workers: 1}
	})
	r.onBoth(t, func(t *testing.T, addr string) {
		for _, stays := range []bool{true, false} {
			lets.Store(true)
			c, _ := asks(t, addr, "/held?Grip-Hold=response&Grip-Channel=a&Grip-Link=%3C/held/gone%3E%3Brel=gone")
			r.wantHeld(t, 1)
			lets.Store(stays)
			_ = c.Close()
			r.wantHeld(t, 0)
			if stays {
				d.want(t, r, "/held/gone")
				if user.Load() != "ann" {
					t.Errorf("the user is %v", user.Load())
				}
			} else {
				d.want(t, r)
			}
		}
	})
	if s := r.handler.Snapshot().Hold.Gone; s != (bridge.GoneSnapshot{Told: 2, Failed: 2}) {
		t.Errorf("%+v", s)
	}
	r.wantIdle(t)
}

// What a hook does wrong ends nothing else.
func TestHeldGonePanics(t *testing.T) {
	d := &door{rest: says}
	r := newHoldRig(t, d.answer, func(c *bridge.Config) {
		c.Identify = func(req *http.Request, _ *cgi.Client) {
			if req.Method == http.MethodPost {
				panic("hook")
			}
		}
	})
	c, _ := asks(t, r.net, "/held?Grip-Hold=response&Grip-Channel=a&Grip-Link=%3C/held/gone%3E%3Brel=gone")
	r.wantHeld(t, 1)
	_ = c.Close()
	r.wantHeld(t, 0)
	d.want(t, r)
	if s := r.handler.Snapshot().Hold.Gone; s != (bridge.GoneSnapshot{Failed: 1}) {
		t.Errorf("%+v", s)
	}
}
