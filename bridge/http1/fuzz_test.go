package http1_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/http1"
)

// What both accept, this decoder and net/http understand alike: the body, where the answer
// ends, and whether the connection can be used again. In pieces it is the same as whole.
func FuzzAnswer(f *testing.F) {
	for _, in := range []string{
		ok + "Content-Length: 5\r\n\r\nhello",
		ok + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
		ok + "Connection: close\r\n\r\nhello",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nxy",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		f.Add(in, 3, false)
		f.Add(in, 1, true)
	}
	f.Fuzz(func(t *testing.T, in string, size int, head bool) {
		r := http1.Request{Method: "GET"}
		if head {
			r.Method = "HEAD"
		}
		a := decode(t, r, in, len(in)+1, true)
		if b := decode(t, r, in, max(1, size%64), true); b.ended != a.ended || b.end != a.end || b.rest != a.rest || (b.err == nil) != (a.err == nil) || a.err == nil && b.output != a.output {
			t.Fatalf("whole %+v, in pieces %+v", a, b)
		}
		if len(in) > 9 && in[9] == '1' {
			return // net/http returns interim answers as answers
		}
		src := strings.NewReader(in)
		buffered := bufio.NewReader(src)
		resp, err := http.ReadResponse(buffered, &http.Request{Method: r.Method})
		var body []byte
		if err == nil {
			body, err = io.ReadAll(resp.Body)
		}
		if a.err != nil {
			return // stricter: doc.go has the list
		}
		if a.ended != (err == nil) {
			t.Fatalf("ended %t, and net/http says %v", a.ended, err)
		}
		if !a.ended {
			return
		}
		_, got, _ := bytes.Cut([]byte(a.output), []byte("\r\n\r\n"))
		rest, _ := io.ReadAll(buffered)
		if !bytes.Equal(got, body) || a.rest != string(rest) {
			t.Fatalf("body %q, rest %q; of net/http %q, %q", got, a.rest, body, rest)
		}
		if a.end.Close != resp.Close && !untilEOF(resp) && !head && resp.StatusCode != 204 && resp.StatusCode != 304 {
			t.Fatalf("close %t, of net/http %t", a.end.Close, resp.Close)
		}
	})
}

// untilEOF reports answers after which net/http does not call a connection closed, though
// its end has ended the answer.
func untilEOF(resp *http.Response) bool {
	return resp.ContentLength < 0 && len(resp.TransferEncoding) == 0
}
