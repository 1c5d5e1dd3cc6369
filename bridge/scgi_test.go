package bridge

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// scgiCodec is SCGI (https://python.ca/scgi/protocol.txt): the smallest protocol there is,
// and in all that a Codec may say of itself the opposite of FastCGI. A connection is for
// one request, and its end is the end of the answer. There are no ids, no questions, no
// errors and no log.
type scgiCodec struct {
	keeps bool // that is not SCGI, but an answer may end with its connection in others, too
}

func (c scgiCodec) KeepAlive() bool { return c.keeps }

func (scgiCodec) Size(r *upstream.Request) (total int, err error) {
	for _, v := range r.Vars {
		if strings.ContainsRune(v.Name+v.Value, 0) {
			return 0, &upstream.RequestError{Err: fmt.Errorf("scgi: variable %q has a zero byte", v.Name)}
		}
		total += len(v.Name) + len(v.Value) + 2
	}
	return total, nil
}

func (c scgiCodec) AppendHead(dst []byte, _ uint16, _ bool, r *upstream.Request) ([]byte, int, error) {
	if _, err := c.Size(r); err != nil {
		return dst, 0, err
	}
	length, vars := "0", []byte(nil)
	for _, v := range r.Vars {
		if v.Name == "CONTENT_LENGTH" && v.Value != "" {
			length = v.Value
			continue
		}
		vars = fmt.Appendf(vars, "%s\x00%s\x00", v.Name, v.Value)
	}
	first := fmt.Sprintf("CONTENT_LENGTH\x00%s\x00SCGI\x001\x00", length)
	begin := len(dst)
	dst = fmt.Appendf(dst, "%d:%s%s,", len(first)+len(vars), first, vars)
	return dst, len(dst) - begin - len("\x00,"), nil // some do not wait for the comma
}

func (scgiCodec) AppendBody(dst []byte, _ uint16, part []byte, _ bool) []byte {
	return append(dst, part...)
}

func (scgiCodec) BodyOverhead() (before, after int) { return 0, 0 }

func (scgiCodec) NewDecoder() upstream.Decoder { return new(scgiDecoder) }

// scgiDecoder has what comes for output. An answer has begun with its first byte.
type scgiDecoder struct {
	id    uint16
	begun bool
}

func (d *scgiDecoder) Begin(id uint16, _ *upstream.Request) { d.id, d.begun = id, false }

func (d *scgiDecoder) Next(in []byte) (ev upstream.Event, rest []byte, err error) {
	if len(in) == 0 {
		return ev, in, nil
	}
	d.begun = true
	return upstream.Event{Kind: upstream.Output, ID: d.id, Data: in}, nil, nil
}

func (d *scgiDecoder) EOF() (ev upstream.Event) {
	if d.begun {
		d.begun = false
		ev = upstream.Event{Kind: upstream.End, ID: d.id, Close: true}
	}
	return ev
}

func (d *scgiDecoder) Clean() bool { return !d.begun }

// scgiRequest reads a request as an application does.
func scgiRequest(c io.Reader) (vars map[string]string, body string, err error) {
	var size int
	if _, err := fmt.Fscanf(c, "%d:", &size); err != nil {
		return nil, "", err
	}
	head := make([]byte, size+1)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, "", err
	}
	vars = make(map[string]string)
	fields := strings.Split(string(head), "\x00")
	if fields[0] != "CONTENT_LENGTH" || fields[len(fields)-1] != "," {
		return nil, "", fmt.Errorf("a head of %q", head)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		vars[fields[i]] = fields[i+1]
	}
	length, err := strconv.Atoi(vars["CONTENT_LENGTH"])
	if err != nil {
		return nil, "", err
	}
	data := make([]byte, length)
	_, err = io.ReadFull(c, data)
	return vars, string(data), err
}

// scgiRig is a rig whose application speaks SCGI. It is asked for as much as there is.
func scgiRig(t *testing.T, cfg Config, scripts ...fcgitest.Script) *rig {
	t.Helper()
	if cfg.codec == nil {
		cfg.codec = scgiCodec{}
	}
	cfg.KeepAlive, cfg.Multiplex = Auto, On
	return newRig(t, cfg, scripts...)
}

// scgiAnswers plays an application that answers one request, and ends.
func scgiAnswers(answer func(c *fcgitest.Session, vars map[string]string, body string)) fcgitest.Script {
	return func(s *fcgitest.Session) {
		if vars, body, err := scgiRequest(s); err == nil { // else the test tells
			answer(s, vars, body)
		}
	}
}

// scgiSays plays one that says this.
func scgiSays(parts ...string) fcgitest.Script {
	return scgiAnswers(func(s *fcgitest.Session, _ map[string]string, _ string) {
		for _, p := range parts {
			if _, err := io.WriteString(s, p); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	})
}

// Requests with and without bodies, one after the other and several at once: each has a
// connection for itself, and the connection's end is the answer's.
func TestSCGI(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { testSCGI(t, scgiCodec{keeps}) })
	}
}

func testSCGI(t *testing.T, codec scgiCodec) {
	r := scgiRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 3}, ApplicationHooks: ApplicationHooks{codec: codec}}, scgiAnswers(func(s *fcgitest.Session, vars map[string]string, body string) {
		fmt.Fprintf(s, "Content-Type: text/plain\r\n\r\n%s %s %s %s\n", vars["SCGI"], vars["REQUEST_METHOD"], vars["REQUEST_URI"], vars["CONTENT_LENGTH"])
		time.Sleep(time.Second)
		_, _ = io.WriteString(s, body)
	}))
	large := strings.Repeat("0123456789", 30_000)
	for body, buffering := range map[string]Switch{"": On, "a=b": On, large: On, large + "streamed": Off} {
		r.b.cfg.RequestBuffering = buffering
		re := r.post("/wiki?x=1", body)
		if want := fmt.Sprintf("1 POST /wiki?x=1 %d\n%s", len(body), body); re.status != 200 || re.body != want || re.err != nil {
			t.Errorf("%d bytes sent: reply %d, %d bytes, want %d, %v", len(body), re.status, len(re.body), len(want), re.err)
		}
	}
	var replies []func() reply
	for range 7 {
		replies = append(replies, r.start(http.MethodGet, "/", nil))
	}
	for _, reply := range replies {
		if re := reply(); re.body != "1 GET / 0\n" || re.err != nil {
			t.Errorf("reply %d %q, %v", re.status, re.body, re.err)
		}
	}
	r.wantKept(0)
	if s := r.b.Snapshot().Pool.Instances[0]; r.peer.Accepted() != 4+7 || r.peer.MostOpen() != 3 || s.Discarded != 0 || s.Reuses != 0 {
		t.Errorf("%d connections, %d at once, %+v; want 11, 3 at once, none discarded", r.peer.Accepted(), r.peer.MostOpen(), s)
	}
}

// An answer that was cut looks complete only where nobody can know that it was.
func TestSCGIAnswersThatAreCut(t *testing.T) {
	reset := scgiAnswers(func(s *fcgitest.Session, _ map[string]string, _ string) {
		_, _ = io.WriteString(s, "Content-Type: text/plain\n\nhalf of")
		time.Sleep(time.Second)
		_ = s.Conn.(*fcgitest.Conn).Reset()
	})
	for name, tc := range map[string]struct {
		script  fcgitest.Script
		body    string // "": an error
		aborted bool   // after a part of the answer
	}{
		"nothing":              {scgiSays(), "", false},
		"half a header":        {scgiSays("Content-Ty"), "", false},
		"header alone":         {scgiSays("X-A: b\n\n"), "", false},
		"less than its length": {scgiSays("Content-Length: 10\n\nhalf"), "", true},
		"a chunk is missing":   {scgiSays("Transfer-Encoding: chunked\n\n4\r\nhalf\r\n"), "", true},
		"reset":                {reset, "", true},
		"no length":            {scgiSays("X-A: b\n\nall", " there is"), "all there is", false},
		"its length":           {scgiSays("Content-Length: 5\n\n", "whole"), "whole", false},
		"chunks":               {scgiSays("Transfer-Encoding: chunked\n\n5\r\nwhole\r\n0\r\n\r\n"), "whole", false},
		"its length, in one":   {scgiSays("Content-Length: 5\n\nwhole"), "whole", false},
		"its length, then a reset": {scgiAnswers(func(s *fcgitest.Session, _ map[string]string, _ string) {
			_, _ = io.WriteString(s, "Content-Length: 5\n\nwhole")
			time.Sleep(time.Second)
			_ = s.Conn.(*fcgitest.Conn).Reset()
		}), "whole", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := scgiRig(t, Config{}, tc.script)
				re := r.get("/")
				switch {
				case tc.aborted:
					r.wantAborted(re, errIncomplete)
				case name == "header alone":
					if re.status != 200 || re.body != "" || re.err != nil {
						t.Errorf("reply %d %q, %v, want an empty page", re.status, re.body, re.err)
					}
				case tc.body == "":
					r.wantError(re, 502, errIncomplete)
				case re.status != 200 || re.body != tc.body || re.err != nil:
					t.Errorf("reply %d %q, %v, want %q", re.status, re.body, re.err, tc.body)
				}
				if o := r.outcome(); o.Attempts != 1 {
					t.Errorf("%d attempts", o.Attempts)
				}
				time.Sleep(2 * time.Second) // its worker is taken for as long as it has not closed the connection
				r.wantKept(0)
			})
		})
	}
}

// A request that was not run is sent again, one that may have been is not.
func TestSCGIReplay(t *testing.T) {
	good := scgiSays("Content-Type: text/plain\n\nok")
	unread := fcgitest.ResetBeforeReading
	cut := func(n int64) fcgitest.Script { // it reads as much of a request, and is gone
		return func(s *fcgitest.Session) { _, _ = io.CopyN(io.Discard, s, n) }
	}
	for name, tc := range map[string]struct {
		method   string
		scripts  []fcgitest.Script
		status   int
		attempts int
	}{
		"GET, turned away":                {"GET", []fcgitest.Script{unread, unread, good}, 200, 3},
		"GET, its head was read in part":  {"GET", []fcgitest.Script{cut(20), good}, 200, 2},
		"POST, turned away after serving": {"POST", []fcgitest.Script{good, unread, unread, good}, 200, 3},
		"POST, read whole":                {"POST", []fcgitest.Script{scgiSays(), good}, 502, 1},
		"GET, read whole":                 {"GET", []fcgitest.Script{scgiSays(), good}, 502, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := scgiRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, tc.scripts...)
				if strings.Contains(name, "after serving") {
					if re := r.get("/"); re.body != "ok" {
						t.Fatalf("reply %+v", re)
					}
				}
				re := r.do(tc.method, "/", strings.NewReader("body"))
				if re.status != tc.status || tc.status == 200 && re.body != "ok" {
					t.Errorf("reply %d %q, %v, want %d", re.status, re.body, re.err, tc.status)
				}
				if o := r.outcome(); o.Attempts != tc.attempts {
					t.Errorf("%d attempts, want %d: %v", o.Attempts, tc.attempts, o.Err)
				}
			})
		})
	}
}

func TestSCGIRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, Config{ApplicationHooks: ApplicationHooks{
			codec: scgiCodec{},
			dial:  func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED },
		}})
		r.wantError(r.get("/"), 502, errRefused)
	})
}

// What is too much for max_params is refused as it is with FastCGI, by SCGI's own measure;
// and an instance is asked whether it is ready in SCGI, too.
func TestSCGIParams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := scgiRig(t, Config{SiteConfig: SiteConfig{MaxParams: 1000}}, scgiSays("X-A: b\n\nok"))
		req, err := http.NewRequest(http.MethodGet, "http://app.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Large", strings.Repeat("x", 900))
		r.wantError(r.send(req), 431, errRequest)
		if n := r.peer.Accepted(); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
	for answer, want := range map[string]string{"Status: 404\n\n": "", "Status: 500\n\n": "the answer is 500", "": "EOF"} {
		synctest.Test(t, func(t *testing.T) {
			_, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Spawn: &SpawnConfig{Ready: "/ready"}}, ApplicationHooks: ApplicationHooks{codec: scgiCodec{}}}, scgiSays(answer))
			err := k.cfg.Ready(t.Context(), fakeInstance)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%q: %v, want %q", answer, err, want)
			}
		})
	}
}
