package bridge

import (
	"cmp"
	"context"
	"encoding/binary"
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
)

// single is a protocol with one request on each connection.
type single struct {
	protocol Protocol
	read     func(io.Reader) (vars map[string]string, body string, err error) // as an application does
}

var singles = []single{{SCGI, scgiRequest}, {UWSGI, uwsgiRequest}}

// eachSingle runs a test for each of them.
func eachSingle(t *testing.T, f func(t *testing.T, p single)) {
	for _, p := range singles {
		t.Run(string(p.protocol), func(t *testing.T) { f(t, p) })
	}
}

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
	body, err = requestBody(c, vars)
	return vars, body, err
}

func uwsgiRequest(c io.Reader) (vars map[string]string, body string, err error) {
	var header [4]byte
	if _, err := io.ReadFull(c, header[:]); err != nil {
		return nil, "", err
	}
	head := make([]byte, binary.LittleEndian.Uint16(header[1:]))
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, "", err
	}
	var fields []string
	for len(head) > 0 {
		n := 2 + int(binary.LittleEndian.Uint16(head))
		fields, head = append(fields, string(head[2:n])), head[n:]
	}
	vars = make(map[string]string)
	for i := 0; i+1 < len(fields); i += 2 {
		vars[fields[i]] = fields[i+1]
	}
	body, err = requestBody(c, vars)
	return vars, body, err
}

func requestBody(c io.Reader, vars map[string]string) (string, error) {
	length, err := strconv.Atoi(cmp.Or(vars["CONTENT_LENGTH"], "0"))
	if err != nil {
		return "", err
	}
	data := make([]byte, length)
	_, err = io.ReadFull(c, data)
	return string(data), err
}

// rig is a rig whose application speaks p. Keep-alive is left to the protocol.
func (p single) rig(t *testing.T, cfg Config, scripts ...fcgitest.Script) *rig {
	t.Helper()
	cfg.Protocol, cfg.KeepAlive = p.protocol, Auto
	return newRig(t, cfg, scripts...)
}

// answers plays an application that answers one request on a connection, and ends.
func (p single) answers(answer func(s *fcgitest.Session, vars map[string]string, body string)) fcgitest.Script {
	return func(s *fcgitest.Session) {
		if vars, body, err := p.read(s); err == nil { // else the test tells
			answer(s, vars, body)
		}
	}
}

// says plays an application whose answer has these parts, a second apart.
func (p single) says(parts ...string) fcgitest.Script {
	return p.answers(func(s *fcgitest.Session, _ map[string]string, _ string) { writeParts(s, parts...) })
}

// saysAndResets plays an application that resets the connection after its answer.
func (p single) saysAndResets(parts ...string) fcgitest.Script {
	return p.answers(func(s *fcgitest.Session, _ map[string]string, _ string) {
		writeParts(s, parts...)
		_ = s.Conn.(*fcgitest.Conn).Reset()
	})
}

func writeParts(s *fcgitest.Session, parts ...string) {
	for _, part := range parts {
		if _, err := io.WriteString(s, part); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// Requests with and without bodies, one after the other and several at once: each has a
// connection for itself, and the connection's end is the answer's.
func TestSingle(t *testing.T) {
	eachSingle(t, func(t *testing.T, p single) { synctest.Test(t, func(t *testing.T) { testSingle(t, p) }) })
}

func testSingle(t *testing.T, p single) {
	r := p.rig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 3}}, p.answers(func(s *fcgitest.Session, vars map[string]string, body string) {
		fmt.Fprintf(s, "Content-Type: text/plain\r\n\r\n%s %s %s\n", vars["REQUEST_METHOD"], vars["REQUEST_URI"], vars["CONTENT_LENGTH"])
		time.Sleep(time.Second)
		_, _ = io.WriteString(s, body)
	}))
	large := strings.Repeat("0123456789", 30_000)
	for body, buffering := range map[string]Switch{"": On, "a=b": On, large: On, large + "streamed": Off} {
		r.b.cfg.RequestBuffering = buffering
		re := r.post("/wiki?x=1", body)
		if want := fmt.Sprintf("POST /wiki?x=1 %d\n%s", len(body), body); re.status != 200 || re.body != want || re.err != nil {
			t.Errorf("%d bytes sent: reply %d, %d bytes, want %d, %v", len(body), re.status, len(re.body), len(want), re.err)
		}
	}
	var replies []func() reply
	for range 7 {
		replies = append(replies, r.start(http.MethodGet, "/", nil))
	}
	for _, reply := range replies {
		if re := reply(); strings.TrimRight(re.body, " 0\n") != "GET /" || re.err != nil { // SCGI always has a length
			t.Errorf("reply %d %q, %v", re.status, re.body, re.err)
		}
	}
	r.wantKept(0)
	if s := r.b.Snapshot().Pool.Instances[0]; r.peer.Accepted() != 4+7 || r.peer.MostOpen() != 3 || s.Discarded != 0 || s.Reuses != 0 {
		t.Errorf("%d connections, %d at once, %+v; want 11, 3 at once, none discarded", r.peer.Accepted(), r.peer.MostOpen(), s)
	}
}

// An answer that was cut looks complete only where nothing can show that it was: the header
// announces no length, and the connection ends as after a complete answer.
func TestSingleTruncated(t *testing.T) {
	eachSingle(t, func(t *testing.T, p single) {
		for name, tc := range map[string]struct {
			script  fcgitest.Script
			body    string // "": an error
			aborted bool   // after a part of the answer
		}{
			"nothing":                  {p.says(), "", false},
			"half a header":            {p.says("Content-Ty"), "", false},
			"header, then a reset":     {p.saysAndResets("X-A: b\n\n"), "", true},
			"less than its length":     {p.says("Content-Length: 10\n\nhalf"), "", true},
			"a chunk is missing":       {p.says("Transfer-Encoding: chunked\n\n4\r\nhalf\r\n"), "", true},
			"no length, then a reset":  {p.saysAndResets("X-A: b\n\nhalf of"), "", true},
			"no length":                {p.says("X-A: b\n\nall", " there is"), "all there is", false},
			"its length":               {p.says("Content-Length: 5\n\n", "whole"), "whole", false},
			"its length, in one":       {p.says("Content-Length: 5\n\nwhole"), "whole", false},
			"its length, then a reset": {p.saysAndResets("Content-Length: 5\n\nwhole"), "whole", false},
			"chunks":                   {p.says("Transfer-Encoding: chunked\n\n5\r\nwhole\r\n0\r\n\r\n"), "whole", false},
			"a status line":            {p.says("HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nall"), "all", false},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := p.rig(t, Config{}, tc.script)
					re := r.get("/")
					switch {
					case tc.aborted:
						r.wantAborted(re, errIncomplete)
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
	})
}

// Answers without a body are complete with their header.
func TestSingleWithoutBody(t *testing.T) {
	eachSingle(t, func(t *testing.T, p single) {
		for name, tc := range map[string]struct {
			method, says string
			status       int
		}{
			"HEAD":             {http.MethodHead, "Content-Length: 5\n\n", 200},
			"HEAD, and a body": {http.MethodHead, "Content-Length: 5\n\nwhole", 200},
			"not modified":     {http.MethodGet, "Status: 304\nContent-Length: 5\n\n", 304},
			"no content":       {http.MethodGet, "Status: 204\n\n", 204},
			"an empty page":    {http.MethodGet, "X-A: b\n\n", 200},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := p.rig(t, Config{}, p.says(tc.says))
					if re := r.do(tc.method, "/", nil); re.status != tc.status || re.body != "" || re.err != nil {
						t.Errorf("reply %d %q, %v", re.status, re.body, re.err)
					}
				})
			})
		}
	})
}

// A request that was not run is sent again, one that may have been is not. Nothing is known of
// a request whose header was sent whole, whatever of it was read.
func TestSingleReplay(t *testing.T) {
	eachSingle(t, func(t *testing.T, p single) {
		good := p.says("Content-Type: text/plain\n\nok")
		unread := fcgitest.ResetBeforeReading
		cut := func(n int64) fcgitest.Script { // it reads as much of a request, and is gone
			return func(s *fcgitest.Session) { _, _ = io.CopyN(io.Discard, s, n) }
		}
		type test struct {
			method   string
			scripts  []fcgitest.Script
			status   int
			attempts int
		}
		tests := map[string]test{
			"GET, closed unread":              {"GET", []fcgitest.Script{fcgitest.AcceptThenClose, good}, 200, 2},
			"GET, all but a byte unread":      {"GET", []fcgitest.Script{unread, good}, 200, 2},
			"GET, its head was read in part":  {"GET", []fcgitest.Script{cut(20), good}, 200, 2},
			"GET, unread twice":               {"GET", []fcgitest.Script{unread, unread, good}, 502, 2},
			"GET, read whole":                 {"GET", []fcgitest.Script{p.says(), good}, 502, 1},
			"POST, unread":                    {"POST", []fcgitest.Script{unread, good}, 502, 1},
			"POST, turned away after serving": {"POST", []fcgitest.Script{good, unread, unread, good}, 502, 1},
			"POST, read whole":                {"POST", []fcgitest.Script{p.says(), good}, 502, 1},
		}
		if p.protocol == SCGI { // threaded servers close what they have no thread for
			tests["GET, unread twice"] = test{"GET", []fcgitest.Script{unread, unread, good}, 200, 3}
			tests["POST, turned away after serving"] = test{"POST", []fcgitest.Script{good, unread, unread, good}, 200, 3}
		}
		for name, tc := range tests {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := p.rig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, tc.scripts...)
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
	})
}

func TestSingleRefused(t *testing.T) {
	eachSingle(t, func(t *testing.T, p single) {
		synctest.Test(t, func(t *testing.T) {
			r := startRig(t, Config{
				ApplicationConfig: ApplicationConfig{Protocol: p.protocol, KeepAlive: Auto},
				ApplicationHooks:  ApplicationHooks{dial: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }},
			})
			r.wantError(r.get("/"), 502, errRefused)
		})
	})
}

// What is too large for max_params, or for the protocol, is refused before it costs a
// connection.
func TestSingleParams(t *testing.T) {
	for name, tc := range map[string]struct {
		p         single
		max, size int
		log       string
	}{
		"SCGI":                       {singles[0], 1000, 900, "more than max_params allows (1000)"},
		"uwsgi":                      {singles[1], 1000, 900, "more than max_params allows (1000)"},
		"more than uwsgi can carry":  {singles[1], 1 << 20, 65_500, "more than the 65535 that the protocol can carry"},
		"a value of more than 64 KB": {singles[1], 1 << 20, 66_000, "uwsgi: variable \"HTTP_X_LARGE\" is 66000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := tc.p.rig(t, Config{SiteConfig: SiteConfig{MaxParams: tc.max}}, tc.p.says("X-A: b\n\nok"))
				req, err := http.NewRequest(http.MethodGet, "http://app.test/", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Large", strings.Repeat("x", tc.size))
				r.wantError(r.send(req), 431, errRequest)
				if o := r.outcome(); r.peer.Accepted() != 0 || o.Err == nil || !strings.Contains(o.Err.Error(), tc.log) {
					t.Errorf("%d connections, error %v", r.peer.Accepted(), o.Err)
				}
			})
		})
	}
}

// An instance is asked whether it is ready in its own protocol.
func TestSingleReady(t *testing.T) {
	eachSingle(t, func(t *testing.T, p single) {
		for answer, want := range map[string]string{"Status: 404\n\n": "", "Status: 500\n\n": "the answer is 500", "": "EOF"} {
			synctest.Test(t, func(t *testing.T) {
				_, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Protocol: p.protocol, KeepAlive: Auto, Spawn: &SpawnConfig{Ready: "/ready"}}}, p.says(answer))
				err := k.cfg.Ready(t.Context(), fakeInstance)
				if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("%q: %v, want %q", answer, err, want)
				}
			})
		}
	})
}
