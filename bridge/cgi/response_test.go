package cgi

import (
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestHeaderEnd(t *testing.T) {
	for _, test := range []struct {
		block string
		want  int
	}{
		{"", -1},
		{"A: b", -1},
		{"A: b\n", -1},
		{"A: b\r\n", -1},
		{"A: b\r\n\r", -1},
		{"A: b\n\n", 6},
		{"A: b\n\nbody\n\n", 6},
		{"A: b\r\n\r\n", 8},
		{"A: b\n\r\n", 7},
		{"A: b\r\n\n", 7},
		{"A: b\r\nC: d\n\r\nbody", 13},
		{"A: b\r\r\n", -1},
		{"A: b\n\r\r\n", -1},
		{"A: b\n \n", -1},
		{"\n", 1},
		{"\r\n", 2},
		{"\nbody\n\n", 1},
		{"\r", -1},
		{"\rA: b\n\n", 7},
	} {
		block := []byte(test.block)
		if got := HeaderEnd(block, 0); got != test.want {
			t.Errorf("%q: got %d, want %d", test.block, got, test.want)
		}
		// As it arrives, in two reads cut anywhere.
		for cut := range block {
			from := 0
			if HeaderEnd(block[:cut], 0) < 0 {
				from = cut
			}
			if got := HeaderEnd(block, from); got != test.want {
				t.Errorf("%q after %d bytes: got %d, want %d", test.block, cut, got, test.want)
			}
		}
	}
}

func TestParseResponse(t *testing.T) {
	ok := func(status int) Response { return Response{Status: status, ContentLength: -1} }
	for _, test := range []struct {
		name, block string
		want        Response
		header      http.Header
	}{
		{"document", "Content-Type: text/html\n\n", ok(200), http.Header{"Content-Type": {"text/html"}}},
		{"no content type", "X-A: b\r\n\r\n", ok(200), http.Header{"X-A": {"b"}}},
		{"mixed line ends", "X-A: b\nX-C: d\r\n\n", ok(200), http.Header{"X-A": {"b"}, "X-C": {"d"}}},
		{"php-fpm", "Status: 404 Not Found\r\nX-Powered-By: PHP/8.2.7\r\nContent-type: text/html; charset=UTF-8\r\n\r\n", ok(404), http.Header{"X-Powered-By": {"PHP/8.2.7"}, "Content-Type": {"text/html; charset=UTF-8"}}},
		{"status alone", "Status: 503\n\n", ok(503), http.Header{}},
		{"status in lower case", "status:  201 Created \n\n", ok(201), http.Header{}},
		{"same status twice", "Status: 403\nStatus: 403 Forbidden\n\n", ok(403), http.Header{}},
		{"status without reason", "Status: 299 \n\n", ok(299), http.Header{}},
		{"status line", "HTTP/1.1 418 I'm a teapot\r\nX-A: b\r\n\r\n", ok(418), http.Header{"X-A": {"b"}}},
		{"spaces", "X-A: \t b c \t\n\n", ok(200), http.Header{"X-A": {"b c"}}},
		{"empty value", "X-A:\n\n", ok(200), http.Header{"X-A": {""}}},
		{"colons", "X-A:b:c:\n\n", ok(200), http.Header{"X-A": {"b:c:"}}},
		{"bytes above ASCII", "X-A: \xe9\n\n", ok(200), http.Header{"X-A": {"\xe9"}}},
		{"cookies", "Set-Cookie: a=1; path=/\nX: y\nset-cookie: b=2\nSet-cookie: c=3\n\n", ok(200), http.Header{"Set-Cookie": {"a=1; path=/", "b=2", "c=3"}, "X": {"y"}}},

		{"redirect", "Location: https://example.org/\n\n", ok(302), http.Header{"Location": {"https://example.org/"}}},
		{"redirect with status", "Status: 301 Moved\nLocation: https://example.org/\n\n", ok(301), http.Header{"Location": {"https://example.org/"}}},
		{"created", "Status: 201\nLocation: /item/1\n\n", ok(201), http.Header{"Location": {"/item/1"}}},
		{"local redirect", "Location: /a/b?c=d\n\n", Response{Status: 200, ContentLength: -1, LocalRedirect: "/a/b?c=d"}, http.Header{}},
		{"local with status", "Status: 302\nLocation: /a\n\n", ok(302), http.Header{"Location": {"/a"}}},
		{"local with cookie", "Location: /a\nSet-Cookie: a=1\n\n", ok(302), http.Header{"Location": {"/a"}, "Set-Cookie": {"a=1"}}},
		{"local with fragment", "Location: /a#b\n\n", ok(302), http.Header{"Location": {"/a#b"}}},
		{"network path", "Location: //example.org/\n\n", ok(302), http.Header{"Location": {"//example.org/"}}},
		{"relative", "Location: a/b\n\n", ok(302), http.Header{"Location": {"a/b"}}},

		{"length", "Content-Length: 17\n\n", Response{Status: 200, ContentLength: 17}, http.Header{"Content-Length": {"17"}}},
		{"length twice", "Content-Length: 17\nContent-Length: 17\n\n", Response{Status: 200, ContentLength: 17}, http.Header{"Content-Length": {"17"}}},
		{"length of a 304", "Status: 304\nContent-Length: 17\n\n", Response{Status: 304, ContentLength: 17}, http.Header{"Content-Length": {"17"}}},
		{"length of a 204", "Status: 204\nContent-Length: 17\n\n", ok(204), http.Header{}},

		{"hop by hop", "Connection: close, X-Hop\nX-Hop: 1\nKeep-Alive: 1\nProxy-Connection: 1\nTE: 1\nTrailer: 1\nTransfer-Encoding: chunked\nUpgrade: x\nX-A: b\n\n", ok(200), http.Header{"X-A": {"b"}}},
		{"named before", "X-Hop: 1\nConnection: x-hop\nConnection: x-b\nX-B: 1\n\n", ok(200), http.Header{}},

		{"event stream", "Content-Type: Text/Event-Stream; charset=utf-8\n\n", Response{Status: 200, ContentLength: -1, Streaming: true}, http.Header{"Content-Type": {"Text/Event-Stream; charset=utf-8"}}},
		{"not event stream", "Content-Type: text/event-streams\n\n", ok(200), http.Header{"Content-Type": {"text/event-streams"}}},
		{"unbuffered", "X-Accel-Buffering: NO\n\n", Response{Status: 200, ContentLength: -1, Streaming: true}, http.Header{}},
		{"buffered", "X-Accel-Buffering: yes\n\n", ok(200), http.Header{}},
	} {
		h := http.Header{}
		got, err := ParseResponse([]byte(test.block), h)
		if err != nil || got != test.want || !reflect.DeepEqual(h, test.header) {
			t.Errorf("%s: got %+v %v, %v\nwant %+v %v", test.name, got, h, err, test.want, test.header)
		}
	}
}

func TestParseResponseErrors(t *testing.T) {
	for _, test := range []struct {
		block string
		line  int
		want  string // part of the reason
	}{
		{"", 0, "no empty line"},
		{"X-A: b\n", 0, "no empty line"},
		{"X-A: b\r\n\r", 0, "no empty line"},
		{"\n", 0, "no field"},
		{"\r\n", 0, "no field"},
		{"<html>\n\n", 1, "no colon"},
		{"X-A: b\nwarning\n\n", 2, "no colon"},
		{"X-A: b\n continued: x\n\n", 2, "no field name"},
		{": b\n\n", 1, "no field name"},
		{"X A: b\n\n", 1, "no field name"},
		{"X-A : b\n\n", 1, "no field name"},
		{"X-\x00: b\n\n", 1, "no field name"},
		{"X-\xe9: b\n\n", 1, "no field name"},
		{"X-A: b\x00c\n\n", 1, "NUL or CR"},
		{"X-A: b\rSet-Cookie: c\n\n", 1, "NUL or CR"},
		{"X-A: b\r\r\n\r\n", 1, "NUL or CR"},
		{"Status:\n\n", 1, "status"},
		{"Status: OK\n\n", 1, "status"},
		{"Status: 20\n\n", 1, "status"},
		{"Status: 2000\n\n", 1, "status"},
		{"Status: 020\n\n", 1, "status"},
		{"Status: +20\n\n", 1, "status"},
		{"Status: 100 Continue\n\n", 1, "status"},
		{"Status: 101\n\n", 1, "status"},
		{"Status: 200\nStatus: 404\n\n", 2, "200 already"},
		{"HTTP/1.1\n\n", 1, "status"},
		{"HTTP/1.1 200 OK\nStatus: 404\n\n", 2, "200 already"},
		{"X-A: b\nHTTP/1.1 200 OK\n\n", 2, "no colon"},
		{"Content-Length: -1\n\n", 1, "Content-Length"},
		{"Content-Length: 1, 1\n\n", 1, "Content-Length"},
		{"Content-Length: 9223372036854775808\n\n", 1, "Content-Length"},
		{"Content-Length:\n\n", 1, "Content-Length"},
		{"Content-Length: 1\nContent-Length: 2\n\n", 2, "second Content-Length"},
		{"Location: /a\nLocation: /b\n\n", 2, "second Location"},
	} {
		_, err := ParseResponse([]byte(test.block), http.Header{})
		bad, ok := errors.AsType[*HeaderError](err)
		if !ok || bad.Line != test.line || !strings.Contains(bad.Reason, test.want) {
			t.Errorf("%q: got %v, want line %d, %q", test.block, err, test.line, test.want)
		}
	}
}

func TestParseResponseAddsToWhatIsThere(t *testing.T) {
	h := http.Header{"Vary": {"Accept-Encoding"}, "Server": {"front"}}
	if _, err := ParseResponse([]byte("Vary: Cookie\nA: 1\nB: 2\nA: 3\n\n"), h); err != nil {
		t.Fatal(err)
	}
	h.Add("B", "4") // must not write into the next value's place
	want := http.Header{"Vary": {"Accept-Encoding", "Cookie"}, "Server": {"front"}, "A": {"1", "3"}, "B": {"2", "4"}}
	if !maps.EqualFunc(h, want, slices.Equal[[]string]) {
		t.Errorf("got %v, want %v", h, want)
	}
}

func TestParseResponseCopiesItsInput(t *testing.T) {
	block := []byte("Location: /a\nX-A: b\n\n")
	h := http.Header{}
	if _, err := ParseResponse(block, h); err != nil {
		t.Fatal(err)
	}
	clear(block)
	if h.Get("X-A") != "b" || h.Get("Location") != "/a" {
		t.Errorf("got %q", h)
	}
}
