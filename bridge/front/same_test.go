//go:build linux

package front_test

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// conversations are what clients send. A pause is a "|".
var conversations = []string{
	"GET /echo?a=b HTTP/1.1\r\nHost: wiki.example\r\nX-Field: \t x y \r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\n\r\nGET /echo?2 HTTP/1.1\r\nHost: b\r\n\r\nHEAD /echo?3 HTTP/1.1\r\nHost: c\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.0\r\n\r\n",
	"GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /echo?2 HTTP/1.0\r\n\r\n",
	"GET /bytes?n=70000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /never HTTP/1.0\r\n\r\n",
	"GET /bytes?n=70000 HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /bytes?n=70000&length=1 HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"HEAD /bytes?n=70000 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /bytes?n=70&length=1 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /slow HTTP/1.0\r\n\r\n",
	"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
	"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe|llo",
	"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe||||||||||llo",
	"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000) + "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n|hello",
	"PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
	"GET /status?n=204 HTTP/1.1\r\nHost: a\r\n\r\nGET /status?n=304 HTTP/1.1\r\nHost: a\r\n\r\nGET /status?n=599 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /named HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /cut HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /cut HTTP/1.0\r\n\r\n",
	"GET /redirect HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://other.example/echo?x HTTP/1.1\r\nHost: a\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
	"GET /e|cho HTTP/1.1\r\nHo|st: a\r\nX-Field:| y\r\n\r|\n",
	"\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.1\nHost: a\n\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"GET /echo HTTP/1.1\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
	"GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n",
	"GET /ec\x00ho HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nno host\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nX-Field: " + strings.Repeat("y", 70_000) + "\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nX-Field: " + strings.Repeat("y", 20_000) + "\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"GET /a/../echo?%zz HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /echo HTTP/1.1\r\nHost: a\r\n",
	"G",
	"",
}

// What a client gets of event loops is what it gets of net/http, byte for byte.
func TestSameAsNet(t *testing.T) {
	r := newRig(t, nil, nil)
	for _, c := range conversations {
		t.Run(fmt.Sprintf("%.40q", c), func(t *testing.T) {
			ours, theirs := converse(t, r.loop, c), converse(t, r.net, c)
			wantSame(t, c, ours, theirs)
		})
	}
	r.wantIdle(t)
}

// wantSame compares what a conversation was answered with.
func wantSame(t *testing.T, sent, ours, theirs string) {
	t.Helper()
	at := 0
	for at < min(len(ours), len(theirs)) && ours[at] == theirs[at] {
		at++
	}
	if ours != theirs {
		t.Errorf("%.200q\nloops, %d bytes:\n%.600q\nnet/http, %d bytes:\n%.600q\nthey differ at byte %d: %.200q and %.200q",
			sent, len(ours), ours, len(theirs), theirs, at, ours[at:], theirs[at:])
	}
}

var dates = regexp.MustCompile(`Date: [^\r]*\r\n`)

// converse sends a conversation, closes the sending side, and returns the answers without their dates.
// Of an answer that is cut off, it returns that.
func converse(t testing.TB, addr, text string) string {
	t.Helper()
	return talk(t, addr, strings.Split(text, "|")...)
}

// talk is converse for parts of a conversation, with a pause between them.
func talk(t testing.TB, addr string, parts ...string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	for i, part := range parts {
		if i > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		if _, err := io.WriteString(c, part); err != nil {
			break // it was refused
		}
	}
	_ = c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	answer := dates.ReplaceAllString(string(got), "")
	if err != nil {
		answer += " cut off: " + strings.TrimPrefix(err.Error()[strings.LastIndex(err.Error(), ": "):], ": ")
	}
	return normalized(answer)
}

// normalized puts the fields of headers into one order, and joins chunks: how an answer is cut into
// them depends on time.
func normalized(answer string) string {
	var out strings.Builder
	for rest := answer; rest != ""; {
		head, after, ok := strings.Cut(rest, "\r\n\r\n")
		if !ok || !strings.HasPrefix(head, "HTTP/1.") {
			out.WriteString(rest)
			break
		}
		lines := strings.Split(head, "\r\n")
		slices.Sort(lines[1:])
		out.WriteString(strings.Join(lines, "\r\n") + "\r\n\r\n")
		rest = after
		if strings.Contains(head, "Transfer-Encoding: chunked") {
			body, left := dechunk(after)
			out.WriteString(body)
			rest = left
			continue
		}
		if next := strings.Index(after, "HTTP/1."); next >= 0 {
			out.WriteString(after[:next])
			rest = after[next:]
			continue
		}
		out.WriteString(after)
		break
	}
	return out.String()
}

func dechunk(s string) (body, rest string) {
	for {
		line, after, ok := strings.Cut(s, "\r\n")
		var n int
		if _, err := fmt.Sscanf(line, "%x", &n); !ok || err != nil || len(after) < n+2 {
			return body + " chunks end early: " + s, ""
		}
		if n == 0 {
			return body, after[2:]
		}
		body, s = body+after[:n], after[n+2:]
	}
}

const keptOld = "Connection: keep-alive\r\n"

// A client in HTTP/1.0 that does not ask properly for its connection to be kept is not told that it is.
func TestNotKept(t *testing.T) {
	r := newRig(t, nil, nil)
	for request, kept := range map[string]bool{"keep-alive": true, "x, Keep-Alive": true, "keep-alive 0": false, "keep": false} {
		got := talk(t, r.loop, "GET /echo HTTP/1.0\r\nConnection: "+request+"\r\n\r\nGET /echo?2 HTTP/1.0\r\n\r\n")
		if answers := strings.Count(got, "HTTP/1.0 200"); strings.Contains(got, keptOld) != kept || (answers == 2) != kept {
			t.Errorf("Connection: %s\n%d answers, %q", request, answers, got)
		}
	}
}

// FuzzSameAsNet compares what arbitrary bytes are answered with.
func FuzzSameAsNet(f *testing.F) {
	for _, c := range conversations {
		if len(c) < 300 && !strings.Contains(c, "/slow") {
			f.Add([]byte(strings.ReplaceAll(c, "|", "")))
		}
	}
	r := newRig(f, nil, nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4<<10 || strings.Contains(string(b), "poll") {
			return
		}
		// Whether net/http answers a header that ends early depends on when its end comes.
		const early = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n400 Bad Request"
		ours, theirs := talk(t, r.loop, string(b)), talk(t, r.net, string(b))
		// Of "Connection: keep-alive x" in HTTP/1.0 net/http says that it keeps the connection, and closes it.
		if !strings.Contains(ours, keptOld) {
			theirs = strings.ReplaceAll(theirs, keptOld, "")
		}
		wantSame(t, string(b), strings.TrimSuffix(ours, early), strings.TrimSuffix(theirs, early))
	})
}
