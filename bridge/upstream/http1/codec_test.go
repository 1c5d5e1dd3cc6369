package http1_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/http1"
	"github.com/sluice-proxy/sluice/bridge/upstream"
	codec "github.com/sluice-proxy/sluice/bridge/upstream/http1"
)

func get(path string) *upstream.Request {
	return &upstream.Request{HTTP: http1.Request{Method: "GET", Target: path, Host: "a"}}
}

// A request with a body, byte for byte, and what of it an application must have to run it.
func TestRequest(t *testing.T) {
	const want = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
	r := &upstream.Request{HTTP: http1.Request{Method: "POST", Target: "/x", Host: "a", Length: 2}}
	got, unrunBelow, err := codec.Codec{}.AppendHead([]byte("before"), 258, true, r)
	if err != nil || string(got) != "before"+want || unrunBelow != len(want)-1 {
		t.Errorf("%q, below %d, %v, want %q, below %d", got, unrunBelow, err, want, len(want)-1)
	}
	got = codec.Codec{}.AppendBody(codec.Codec{}.AppendBody(got, 258, []byte("h"), false), 258, []byte("i"), true)
	if string(got) != "before"+want+"hi" {
		t.Errorf("with its body: %q", got)
	}
	part := []byte("part")
	before, after := codec.Codec{}.BodyOverhead()
	if got := (codec.Codec{}).AppendBody(part[:0], 1, part, true); &got[0] != &part[0] || before != 0 || after != 0 {
		t.Errorf("%q, overhead %d and %d", got, before, after)
	}
	if n, err := (codec.Codec{}).Size(r); err != nil || n < len(want) {
		t.Errorf("size %d, %v", n, err)
	}
	if !(codec.Codec{}).KeepAlive() || !(codec.Codec{}).TakesHTTP() || (codec.Codec{}).Preamble() != 1 {
		t.Error("the connection is not kept, or the request is not HTTP")
	}
}

func TestRefused(t *testing.T) {
	_, err := codec.Codec{}.Size(get("/\n"))
	head, _, headErr := codec.Codec{}.AppendHead([]byte("before"), 1, false, get("/\n"))
	for _, err := range []error{err, headErr} {
		_, isRequest := errors.AsType[*upstream.RequestError](err)
		if _, isHTTP := errors.AsType[*http1.RequestError](err); !isRequest || !isHTTP {
			t.Errorf("error %v", err)
		}
	}
	if string(head) != "before" {
		t.Errorf("%q", head)
	}
}

// The events of a connection that carries several requests.
func TestEvents(t *testing.T) {
	d := codec.Codec{}.NewDecoder()
	text := func(ev upstream.Event) string {
		return fmt.Sprintf("%v %d %q %t %v", ev.Kind, ev.ID, ev.Data, ev.Close, ev.KeepFor)
	}
	expect := func(in string, want ...string) {
		t.Helper()
		rest := []byte(in)
		for _, w := range want {
			var ev upstream.Event
			var err error
			if ev, rest, err = d.Next(rest); err != nil || text(ev) != w {
				t.Errorf("%s, %v, want %s", text(ev), err, w)
			}
		}
		if len(rest) > 0 {
			t.Errorf("%q is left", rest)
		}
	}
	const nothing = `nothing 0 "" false 0s`
	expect("", nothing)
	d.Begin(1, get("/"))
	if d.Clean() {
		t.Error("it is clean while an answer is due")
	}
	expect("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", `output 1 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" false 0s`, `output 1 "x" false 0s`, `end 1 "" false 0s`, nothing)
	if !d.Clean() {
		t.Error("it is not clean")
	}
	d.Begin(2, get("/"))
	expect("HTTP/1.1 204 No\r\nKeep-Alive: timeout=5\r\n\r\n", `output 2 "HTTP/1.1 204 No\r\nKeep-Alive: timeout=5\r\n\r\n" false 0s`, `end 2 "" false 4s`)
	d.Begin(3, get("/"))
	expect("HTTP/1.1 204 No\r\nKeep-Alive: timeout=1\r\n\r\n", `output 3 "HTTP/1.1 204 No\r\nKeep-Alive: timeout=1\r\n\r\n" false 0s`, `end 3 "" true 0s`)
	d.Begin(4, get("/"))
	expect("HTTP/1.1 200 OK\r\n\r\nx", `output 4 "HTTP/1.1 200 OK\r\n\r\n" false 0s`, `output 4 "x" false 0s`, nothing)
	if ev := d.EOF(); text(ev) != `end 4 "" true 0s` {
		t.Errorf("the end of the connection: %s", text(ev))
	}
	d.Begin(5, get("/"))
	expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx", `output 5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" false 0s`, `output 5 "x" false 0s`, nothing)
	if ev := d.EOF(); ev.Kind != 0 {
		t.Errorf("the end of a truncated answer: %s", text(ev))
	}
	d.Begin(6, get("/"))
	_, _, err := d.Next([]byte("Status: 200\r\n\r\n"))
	if _, isFormat := errors.AsType[*upstream.FormatError](err); !isFormat {
		t.Errorf("a CGI header: %v", err)
	}
}

// Fields that steer servers of CGI mean nothing, and the framing is not the reader's.
func TestParseHeader(t *testing.T) {
	h := make(http.Header)
	r, err := codec.Codec{}.ParseHeader([]byte("HTTP/1.1 200 OK\r\nStatus: 404\r\nLocation: /x\r\nTransfer-Encoding: chunked\r\nConnection: X-Y\r\nX-Y: z\r\nTrailer: A\r\n\r\n"), h)
	if err != nil || r.Status != 200 || r.Chunked || r.ContentLength != -1 || r.LocalRedirect != "" || fmt.Sprint(h) != "map[Location:[/x] Status:[404]]" {
		t.Errorf("%+v, %v, %v", r, h, err)
	}
	if _, err := (codec.Codec{}).ParseHeader([]byte("Status: 200\r\n\r\n"), h); err == nil {
		t.Error("a CGI header is taken")
	}
}
