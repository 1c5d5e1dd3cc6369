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
	local := func(to string) Response { return Response{Status: 302, ContentLength: -1, LocalRedirect: to} }
	chunked := Response{Status: 200, ContentLength: -1, Chunked: true}
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
		{"two statuses", "Status: 200\nStatus: 404\n\n", ok(404), http.Header{}},
		{"colon after the status", "Status: 404: Not Found\n\n", ok(404), http.Header{}},
		{"tab after the status", "Status: 404\tNot Found\n\n", ok(404), http.Header{}},
		{"reason glued to the status", "Status: 200OK\n\n", ok(200), http.Header{}},
		{"nothing", "\n", ok(200), http.Header{}},
		{"nothing, CRLF", "\r\n", ok(200), http.Header{}},
		{"status without reason", "Status: 299 \n\n", ok(299), http.Header{}},
		{"status line", "HTTP/1.1 418 I'm a teapot\r\nX-A: b\r\n\r\n", ok(418), http.Header{"X-A": {"b"}}},
		{"status line, then status", "HTTP/1.1 200 OK\nStatus: 404\n\n", ok(404), http.Header{}},
		{"status line with two spaces", "HTTP/1.0  404  Not Found\n\n", ok(404), http.Header{}},
		{"status line, glued", "HTTP/1.1 404: Not Found\n\n", ok(404), http.Header{}},
		{"Early Hints", "Status: 103 Early Hints\nLink: </a.css>; rel=preload\n\n", ok(103), http.Header{"Link": {"</a.css>; rel=preload"}}},
		{"Continue", "HTTP/1.1 100 Continue\r\n\r\n", ok(100), http.Header{}},
		{"Switching Protocols", "Status: 101\n\n", ok(101), http.Header{}},
		{"interim, but for the last", "HTTP/1.1 100 Continue\nStatus: 200\n\n", ok(200), http.Header{}},
		{"Early Hints with a path", "Status: 103\nLocation: /a\n\n", ok(103), http.Header{"Location": {"/a"}}},
		{"spaces", "X-A: \t b c \t\n\n", ok(200), http.Header{"X-A": {"b c"}}},
		{"empty value", "X-A:\n\n", ok(200), http.Header{"X-A": {""}}},
		{"space before the colon", "X-A : b\nX-B \t: c\n\n", ok(200), http.Header{"X-A": {"b"}, "X-B": {"c"}}},
		{"folded", "X-A: b\n c\r\n\t\td \n\nX-B: e\n", ok(200), http.Header{"X-A": {"b c d"}}},
		{"folded, empty lines", "X-A:\n \n\t\n b\n \nX-B: c\n\n", ok(200), http.Header{"X-A": {"b"}, "X-B": {"c"}}},
		{"folded status", "Status:\n 404\n Not Found\n\n", ok(404), http.Header{}},
		{"folded status line", "HTTP/1.1 404\n Not: Found\n\n", ok(404), http.Header{}},
		{"colons", "X-A:b:c:\n\n", ok(200), http.Header{"X-A": {"b:c:"}}},
		{"bytes above ASCII", "X-A: \xe9\n\n", ok(200), http.Header{"X-A": {"\xe9"}}},
		{"cookies", "Set-Cookie: a=1; path=/\nX: y\nset-cookie: b=2\nSet-cookie: c=3\n\n", ok(200), http.Header{"Set-Cookie": {"a=1; path=/", "b=2", "c=3"}, "X": {"y"}}},

		{"redirect", "Location: https://example.org/\n\n", ok(302), http.Header{"Location": {"https://example.org/"}}},
		{"redirect with status", "Status: 301 Moved\nLocation: https://example.org/\n\n", ok(301), http.Header{"Location": {"https://example.org/"}}},
		{"created", "Status: 201\nLocation: /item/1\n\n", ok(201), http.Header{"Location": {"/item/1"}}},
		{"local redirect", "Location: /a/b?c=d\n\n", local("/a/b?c=d"), http.Header{"Location": {"/a/b?c=d"}}},
		{"local with space", "Location: /a b?c d\n\n", local("/a%20b?c%20d"), http.Header{"Location": {"/a b?c d"}}},
		{"local beyond ASCII", "Location: /caf\u00e9?\u00e9\n\n", local("/caf%C3%A9?%C3%A9"), http.Header{"Location": {"/caf\u00e9?\u00e9"}}},
		{"local with percent signs", "Location: /100%/%41/%4?%\n\n", local("/100%25/%41/%254?%"), http.Header{"Location": {"/100%/%41/%4?%"}}},
		{"local, twice", "Location: /a\nLocation: /a\n\n", ok(302), http.Header{"Location": {"/a"}}},
		{"same location twice", "Status: 301\nLocation: /a\nLocation: /a\n\n", ok(301), http.Header{"Location": {"/a"}}},
		{"local with status", "Status: 302\nLocation: /a\n\n", ok(302), http.Header{"Location": {"/a"}}},
		{"local with cookie", "Location: /a\nSet-Cookie: a=1\n\n", ok(302), http.Header{"Location": {"/a"}, "Set-Cookie": {"a=1"}}},
		{"local with fragment", "Location: /a#b\n\n", ok(302), http.Header{"Location": {"/a#b"}}},
		{"network path", "Location: //example.org/\n\n", ok(302), http.Header{"Location": {"//example.org/"}}},
		{"relative", "Location: a/b\n\n", ok(302), http.Header{"Location": {"a/b"}}},

		{"length", "Content-Length: 17\n\n", Response{Status: 200, ContentLength: 17}, http.Header{"Content-Length": {"17"}}},
		{"length twice", "Content-Length: 17\nContent-Length: 17\n\n", Response{Status: 200, ContentLength: 17}, http.Header{"Content-Length": {"17"}}},
		{"length as a list", "Content-Length: 17 , 17\n\n", Response{Status: 200, ContentLength: 17}, http.Header{"Content-Length": {"17"}}},
		{"length of a 205", "Status: 205\nContent-Length: 17\n\n", ok(205), http.Header{}},
		{"length of a 304", "Status: 304\nContent-Length: 17\n\n", Response{Status: 304, ContentLength: 17}, http.Header{"Content-Length": {"17"}}},
		{"length of a 204", "Status: 204\nContent-Length: 17\n\n", ok(204), http.Header{}},
		{"length of an interim header", "Status: 103\nContent-Length: 17\n\n", ok(103), http.Header{}},
		{"length, named", "Connection: close, content-length\nContent-Length: 17\n\n", Response{Status: 200, ContentLength: 17}, http.Header{"Content-Length": {"17"}}},

		{"hop by hop", "Connection: close, X-Hop\nX-Hop: 1\nKeep-Alive: 1\nProxy-Connection: 1\nTE: 1\nTrailer: 1\nTransfer-Encoding: identity\nUpgrade: x\nX-A: b\n\n", ok(200), http.Header{"X-A": {"b"}}},
		{"named before", "X-Hop: 1\nConnection: x-hop\nConnection: x-b\nX-B: 1\n\n", ok(200), http.Header{}},

		{"chunked", "Transfer-Encoding: Chunked\n\n", chunked, http.Header{}},
		{"chunked, and a length", "Content-Length: 5\nTransfer-Encoding: chunked\n\n", chunked, http.Header{}},
		{"chunked twice", "Transfer-Encoding: chunked\nTransfer-Encoding: identity, chunked;q=1\n\n", chunked, http.Header{}},

		{"same type twice", "Content-Type: text/html\nContent-Type: text/html\n\n", ok(200), http.Header{"Content-Type": {"text/html"}}},
		{"same validators twice", "ETag: \"a\"\nLast-Modified: b\nETag: \"a\"\nLast-Modified: b\n\n", ok(200), http.Header{"Etag": {`"a"`}, "Last-Modified": {"b"}}},
		{"a list", "Vary: a\nVary: a\nLink: b\nLink: c\n\n", ok(200), http.Header{"Vary": {"a", "a"}, "Link": {"b", "c"}}},

		{"X-Sendfile", "X-Sendfile: /srv/a\nContent-Length: 3\n\n", Response{Status: 200, ContentLength: 3, Sendfile: true}, http.Header{"X-Sendfile": {"/srv/a"}, "Content-Length": {"3"}}},
		{"lighttpd's", "X-LIGHTTPD-send-file: /srv/a\n\n", Response{Status: 200, ContentLength: -1, Sendfile: true}, http.Header{"X-Lighttpd-Send-File": {"/srv/a"}}},
		{"nginx's", "x-accel-redirect: /a\n\n", Response{Status: 200, ContentLength: -1, Sendfile: true}, http.Header{"X-Accel-Redirect": {"/a"}}},
		{"no file", "X-Sendfile:\n\n", ok(200), http.Header{}},

		{"event stream", "Content-Type: Text/Event-Stream; charset=utf-8\n\n", Response{Status: 200, ContentLength: -1, Streaming: true}, http.Header{"Content-Type": {"Text/Event-Stream; charset=utf-8"}}},
		{"not event stream", "Content-Type: text/event-streams\n\n", ok(200), http.Header{"Content-Type": {"text/event-streams"}}},
		{"unbuffered", "X-Accel-Buffering: NO\n\n", Response{Status: 200, ContentLength: -1, Streaming: true}, http.Header{"X-Accel-Buffering": {"NO"}}},
		{"buffered", "X-Accel-Buffering: yes\n\n", ok(200), http.Header{"X-Accel-Buffering": {"yes"}}},
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
		{"X-A: b\n ", 0, "no empty line"},
		{"X-A: b\n \n", 0, "no empty line"},
		{"<html>\n\n", 1, "no colon"},
		{"X-A: b\nwarning\n\n", 2, "no colon"},
		{"X-\x00: b\n\n", 1, "control"},
		{"X A\x01: b\n\n", 1, "control"},
		{"X-A: b\x00c\n\n", 1, "control"},
		{"X-A: b\rSet-Cookie: c\n\n", 1, "control"},
		{"X-A: b\r\r\n\r\n", 1, "control"},
		{"X-A: b\x1bc\n\n", 1, "control"},
		{"X-A: b\x7f\n\n", 1, "control"},
		{"X-A: b\n \x08\n\n", 1, "control"},
		{"Status: 404 Not\x00Found\n\n", 1, "control"},
		{"HTTP/1.1 200 OK\x00\n\n", 1, "control"},
		{"X-A: b\n c\nX-B: \x0b\n\n", 3, "control"},
		{"Status:\n\n", 1, "status"},
		{"Status: OK\n\n", 1, "status"},
		{"Status: 20\n\n", 1, "status"},
		{"Status: 2000\n\n", 1, "status"},
		{"Status: 020\n\n", 1, "status"},
		{"Status: +20\n\n", 1, "status"},
		{"Status: 099\n\n", 1, "status"},
		{"Status: 4 04\n\n", 1, "status"},
		{"HTTP/1.1\n\n", 1, "status"},
		{"HTTP/1.1404\n\n", 1, "status"},
		{"X-A: b\nHTTP/1.1 200 OK\n\n", 2, "no colon"},
		{"Content-Length: -1\n\n", 1, "Content-Length"},
		{"Content-Length: 1, 2\n\n", 1, "second Content-Length"},
		{"Content-Length: 1,\n\n", 1, "Content-Length"},
		{"Content-Length: +1\n\n", 1, "Content-Length"},
		{"Content-Length: 9223372036854775808\n\n", 1, "Content-Length"},
		{"Content-Length: 1\nContent-Length: 2\n\n", 2, "second Content-Length"},
		{"Location: /a\nLocation: /b\n\n", 2, "second Location"},
		{"Transfer-Encoding: gzip, chunked\n\n", 0, "gzip, chunked"},
		{"Transfer-Encoding: chunked\nTransfer-Encoding: Deflate\n\n", 0, "Deflate"},
	} {
		_, err := ParseResponse([]byte(test.block), http.Header{})
		bad, ok := errors.AsType[*HeaderError](err)
		if !ok || bad.Line != test.line || !strings.Contains(bad.Reason, test.want) {
			t.Errorf("%q: got %v, want line %d, %q", test.block, err, test.line, test.want)
		}
	}
}

// What is left out or corrected is told.
func TestParseResponseWarnings(t *testing.T) {
	for _, test := range []struct {
		block  string
		want   string // part of the warning
		header http.Header
	}{
		{"X A: b\n c\nX-B: d\n\n", `"X A" is no field name`, http.Header{"X-B": {"d"}}},
		{": b\nX-B: d\n\n", `"" is no field name`, http.Header{"X-B": {"d"}}},
		{"X-\xe9: b\nX-B: d\n\n", `"X-\xe9" is no field name`, http.Header{"X-B": {"d"}}},
		{"Location /x: b\n\n", "is no field name", http.Header{}},
		{" X-A: b\n c\nX-B: d\n\n", `" X-A: b c" begins with a space`, http.Header{"X-B": {"d"}}},
		{"Content-Type: a/b\nContent-Type: c/d\n\n", `Content-Type is "a/b", and then "c/d"`, http.Header{"Content-Type": {"c/d"}}},
		{"ETag: a\netag: b\nETag: b\n\n", `Etag is "a", and then "b"`, http.Header{"Etag": {"b"}}},
		{"Content-Length:\n\n", "Content-Length is empty", http.Header{}},
		{"Transfer-Encoding: binary\n\n", `"binary" is no transfer coding`, http.Header{}},
		{"X A: b\nX B: c\n\n", `"X A"`, http.Header{}},
	} {
		h := http.Header{}
		got, err := ParseResponse([]byte(test.block), h)
		if err != nil || !strings.Contains(got.Warning, test.want) || !reflect.DeepEqual(h, test.header) {
			t.Errorf("%q: got %q %v, %v\nwant %q %v", test.block, got.Warning, h, err, test.want, test.header)
		}
	}
}

// Lines that continue a field, as many as there may be, cost no more than others.
func TestParseResponseOfManyLines(t *testing.T) {
	h := http.Header{}
	if _, err := ParseResponse([]byte("X-A: a\n"+strings.Repeat(" b\n", 1<<18)+"\n"), h); err != nil || len(h.Get("X-A")) != 1+2<<18 {
		t.Errorf("%d bytes, %v", len(h.Get("X-A")), err)
	}
}

func TestParseResponseAddsToWhatIsThere(t *testing.T) {
	h := http.Header{"Vary": {"Accept-Encoding"}, "Server": {"front"}, "Date": {"today"}}
	if _, err := ParseResponse([]byte("Vary: Cookie\nA: 1\nB: 2\nA: 3\nDate: yesterday\n\n"), h); err != nil {
		t.Fatal(err)
	}
	h.Add("B", "4") // must not write into the next value's place
	want := http.Header{"Vary": {"Accept-Encoding", "Cookie"}, "Server": {"front"}, "Date": {"yesterday"}, "A": {"1", "3"}, "B": {"2", "4"}}
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
