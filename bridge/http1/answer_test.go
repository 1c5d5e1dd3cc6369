package http1_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/http1"
)

// answer is what a decoder has made of the bytes of a connection.
type answer struct {
	output string
	ended  bool
	end    http1.End
	rest   string // after the end
	err    error
}

// decode feeds a decoder with in, in pieces of at most size bytes, and ends the connection
// if eof.
func decode(t testing.TB, r http1.Request, in string, size int, eof bool) (a answer) {
	t.Helper()
	var d http1.Decoder
	d.Begin(&r)
	for len(in) > 0 || eof {
		piece := in[:min(size, len(in))]
		in = in[len(piece):]
		for buf := []byte(piece); ; {
			output, rest, ended, err := d.Next(buf)
			if err != nil {
				a.err = err
				return a
			}
			if ended {
				a.ended, a.end, a.rest = true, d.End(), string(rest)+in
				if !d.Idle() {
					t.Fatal("it has ended, and is not idle")
				}
				return a
			}
			a.output += string(output)
			if len(output) == 0 {
				if len(rest) > 0 {
					t.Fatalf("%q is neither taken nor refused", rest)
				}
				break
			}
			buf = rest
		}
		if len(in) == 0 && eof {
			if a.ended = d.EOF(); a.ended {
				a.end = d.End()
			}
			return a
		}
	}
	return a
}

const ok = "HTTP/1.1 200 OK\r\n"

// Answers, and how each of them ends: the connection is kept or must be closed, the answer is
// truncated, or an error.
func TestAnswer(t *testing.T) {
	get, head, upgrade := http1.Request{Method: "GET"}, http1.Request{Method: "HEAD"}, http1.Request{Method: "GET", Upgrade: "websocket"}
	for name, c := range map[string]struct {
		r    http1.Request
		in   string
		body string // after the header
		want string // how it ends
	}{
		"a length":               {get, ok + "Content-Length: 5\r\n\r\nhello", "hello", "kept"},
		"the same length twice":  {get, ok + "Content-Length: 5\r\ncontent-length: 5, 5\r\n\r\nhello", "hello", "kept"},
		"a length of 0":          {get, ok + "Content-Length: 0\r\n\r\n", "", "kept"},
		"too short":              {get, ok + "Content-Length: 5\r\n\r\nhell", "hell", "truncated"},
		"too long":               {get, ok + "Content-Length: 5\r\n\r\nhello!", "hello", `kept, rest "!"`},
		"connection: close":      {get, ok + "Content-Length: 5\r\nConnection: foo, Close\r\n\r\nhello", "hello", "close"},
		"keep-alive":             {get, ok + "Content-Length: 5\r\nConnection: keep-alive\r\nKeep-Alive: max=3, timeout=7\r\n\r\nhello", "hello", "kept 7s"},
		"kept for no time":       {get, ok + "Content-Length: 5\r\nKeep-Alive: timeout=0\r\n\r\nhello", "hello", "close"},
		"chunks":                 {get, ok + "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n", "hello0123456789", "kept"},
		"a trailer":              {get, ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n00\r\nA: b\r\nC: d\r\n\r\nHTTP", "x", `kept, rest "HTTP"`},
		"no last chunk":          {get, ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello", "truncated"},
		"half a last chunk":      {get, ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "hello", "truncated"},
		"no length":              {get, ok + "\r\nhello", "hello", "close"},
		"no length, no body":     {get, ok + "\r\n", "", "close"},
		"HTTP/1.0":               {get, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", "close"},
		"HTTP/1.0, kept":         {get, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\nhello", "hello", "kept"},
		"HTTP/1.0, no length":    {get, "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\nhello", "hello", "close"},
		"HEAD":                   {head, ok + "Content-Length: 5\r\n\r\n", "", "close"},
		"HEAD, chunks":           {head, ok + "Transfer-Encoding: chunked\r\n\r\n", "", "close"},
		"HEAD, no length":        {head, ok + "\r\n", "", "close"},
		"HEAD, with a body":      {head, ok + "Content-Length: 5\r\n\r\nhello", "", `close, rest "hello"`},
		"204":                    {get, "HTTP/1.1 204 No Content\r\n\r\n", "", "kept"},
		"304 with a length":      {get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", "close"},
		"no text":                {get, "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", "", "kept"},
		"an empty text":          {get, "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", "", "kept"},
		"interim":                {get, "HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n" + ok + "Content-Length: 1\r\n\r\nx", "x", "kept"},
		"interim alone":          {get, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "", "truncated"},
		"an upgrade":             {upgrade, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello", "\x81\x05hello", "close"},
		"an upgrade, refused":    {upgrade, "HTTP/1.1 400 Bad\r\nContent-Length: 1\r\n\r\nx", "x", "kept"},
		"half a header":          {get, ok + "Content-Le", "", "truncated"},
		"nothing":                {get, "", "", "truncated"},
		"a name in quotes":       {get, ok + "X-\"Y\": z\r\n\r\n", "", "error"},
		"101 unasked":            {get, "HTTP/1.1 101 Switching Protocols\r\n\r\n", "", "error"},
		"both":                   {get, ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", "error"},
		"two lengths":            {get, ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "", "error"},
		"a list of lengths":      {get, ok + "Content-Length: 5, 6\r\n\r\nhello", "", "error"},
		"a signed length":        {get, ok + "Content-Length: +5\r\n\r\nhello", "", "error"},
		"a length too large":     {get, ok + "Content-Length: 9223372036854775808\r\n\r\nhello", "", "error"},
		"an empty length":        {get, ok + "Content-Length:\r\n\r\nhello", "", "error"},
		"gzip":                   {get, ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "", "error"},
		"chunked twice":          {get, ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", "error"},
		"chunks in HTTP/1.0":     {get, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", "error"},
		"LF":                     {get, ok + "A: b\n\r\n", "", "error"},
		"LF after the status":    {get, "HTTP/1.1 200 OK\n\r\n", "", "error"},
		"CR in a value":          {get, ok + "A: b\rC: d\r\n\r\n", "", "error"},
		"a zero byte":            {get, ok + "A: b\x00\r\n\r\n", "", "error"},
		"folded":                 {get, ok + "A: b\r\n c\r\n\r\n", "", "error"},
		"a space before a colon": {get, ok + "Content-Length : 5\r\n\r\nhello", "", "error"},
		"no colon":               {get, ok + "hello\r\n\r\n", "", "error"},
		"no name":                {get, ok + ": x\r\n\r\n", "", "error"},
		"HTTP/2":                 {get, "HTTP/2 200 OK\r\n\r\n", "", "error"},
		"HTTP/1.2":               {get, "HTTP/1.2 200 OK\r\n\r\n", "", "error"},
		"a short status":         {get, "HTTP/1.1 20 OK\r\n\r\n", "", "error"},
		"a long status":          {get, "HTTP/1.1 2000 OK\r\n\r\n", "", "error"},
		"a status below 100":     {get, "HTTP/1.1 099 OK\r\n\r\n", "", "error"},
		"a CGI header":           {get, "Status: 200\r\n\r\n", "", "error"},
		"an empty line first":    {get, "\r\n" + ok + "\r\n", "", "error"},
		"a size that is none":    {get, ok + "Transfer-Encoding: chunked\r\n\r\nx\r\n", "", "error"},
		"a negative size":        {get, ok + "Transfer-Encoding: chunked\r\n\r\n-1\r\n", "", "error"},
		"an empty size":          {get, ok + "Transfer-Encoding: chunked\r\n\r\n\r\n", "", "error"},
		"a size too large":       {get, ok + "Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", "", "error"},
		"a space after a size":   {get, ok + "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", "", "error"},
		"LF after a size":        {get, ok + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", "", "error"},
		"LF after a chunk":       {get, ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n", "", "error"},
		"a chunk too long":       {get, ok + "Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n", "", "error"},
		"LF in an extension":     {get, ok + "Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n", "", "error"},
		"a trailer, no colon":    {get, ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA\r\n\r\n", "", "error"},
		"a trailer of LF":        {get, ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\r\n", "", "error"},
		"a folded trailer":       {get, ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n", "", "error"},
		"a large extension":      {get, ok + "Transfer-Encoding: chunked\r\n\r\n0;" + strings.Repeat("x", 17<<10), "", "error"},
		"a large trailer":        {get, ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: "+strings.Repeat("x", 1<<10)+"\r\n", 17), "", "error"},
	} {
		for _, size := range []int{1, 2, 7, 1 << 20} {
			a := decode(t, c.r, c.in, size, true)
			got := "truncated"
			switch {
			case a.err != nil:
				got = "error"
			case a.ended && a.end.Close:
				got = "close"
			case a.ended:
				got = "kept"
			}
			if a.end.KeepFor > 0 {
				got += " " + a.end.KeepFor.Truncate(time.Second).String()
			}
			if a.rest != "" {
				got += fmt.Sprintf(", rest %q", a.rest)
			}
			if got != c.want {
				t.Errorf("%s, in pieces of %d: %s, want %s (%v)", name, size, got, c.want, a.err)
			}
			if end := strings.LastIndex(a.output, "\r\n\r\n"); a.err == nil && end >= 0 && a.output[end+4:] != c.body {
				t.Errorf("%s, in pieces of %d: body %q, want %q", name, size, a.output[end+4:], c.body)
			}

		}
	}
}

// No prefix of an answer whose end is announced looks complete, and the answer to one request
// is not taken for that to the next.
func TestPrefixes(t *testing.T) {
	for _, whole := range []string{
		ok + "Content-Length: 5\r\n\r\nhello",
		ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
	} {
		for n := range whole {
			if a := decode(t, http1.Request{Method: "GET"}, whole[:n], n+1, true); a.ended || a.err != nil {
				t.Errorf("%q: ended %t, %v", whole[:n], a.ended, a.err)
			}
		}
		if a := decode(t, http1.Request{Method: "GET"}, whole, len(whole), true); !a.ended {
			t.Errorf("%q has not ended", whole)
		}
	}
}

func TestIdle(t *testing.T) {
	var d http1.Decoder
	if _, _, ended, err := d.Next(nil); ended || err != nil || !d.Idle() || d.EOF() {
		t.Errorf("nothing has come: ended %t, %v", ended, err)
	}
	if _, _, _, err := d.Next([]byte("HTTP/1.1 408 Request Timeout\r\n\r\n")); err == nil {
		t.Error("an answer without a request is taken")
	}
}
