package framing

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

const (
	get  = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	post = "POST / HTTP/1.1\r\nHost: a\r\n"
	code = post + "Transfer-Encoding: chunked\r\n\r\n"
)

// What is valid is passed as it came, but for what net/http does not take or need.
func TestWhatIsPassed(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"nothing else":              {get + post + "Content-Length: 2\r\n\r\nhi" + get, ""},
		"an empty line":             {"\r\n" + get + "\r\n" + get, get + get},
		"extensions":                {code + "2 ; a = b\t; c=\"\\\"; \"\r\nhi\r\n0;d\r\n\r\n" + get, code + "2\r\nhi\r\n0\r\n\r\n" + get},
		"a trailer":                 {code + "0\r\nX: y\r\nContent-Length: 7\r\n\r\n" + get, code + "0\r\n\r\n" + get},
		"a chunk of the large size": {code + "7fffffffffffffff\r\nx", ""},
		"CRLF in a chunk":           {code + "4\r\n\r\n\r\n\r\n0\r\n\r\n" + get, ""},
	} {
		want := tc.want
		if want == "" {
			want = tc.text
		}
		for size := 1; size <= len(tc.text); size++ {
			s := scanner{maxHeader: maxHeader}
			var got strings.Builder
			for _, piece := range pieces(tc.text, size) {
				n, err := s.scan(piece)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got.Write(piece[:n])
			}
			if got.String() != want {
				t.Fatalf("%s, %d bytes at a time: %q, want %q", name, size, got.String(), want)
			}
		}
	}
}

// What is refused in a header is answered with the reason, and in the log with the request
// line, however it comes. No handler sees it, nor anything after it.
func TestRefusedHeaders(t *testing.T) {
	for text, want := range map[string]Error{
		"GET /a\x01 HTTP/1.1\r\n":                        {400, "the target is malformed", "GET /a\x01 HTTP/1.1"},
		"GET /100% HTTP/1.1\r\n":                         {400, "the target's path has a % that is not followed by two hexadecimal digits", "GET /100% HTTP/1.1"},
		"GET / HTTP/3.0\r\n":                             {505, "only HTTP/1.1 and HTTP/1.0 are spoken here", "GET / HTTP/3.0"},
		"\rGET / HTTP/1.1\r\n":                           {400, "a CR without LF before the request line", ""},
		"\r\n\r\nGET / HTTP/1.1\r\n":                     {400, "the method is malformed", ""},
		"\nGET / HTTP/1.1\r\n":                           {400, "a line ends with LF alone, without CR", ""},
		"GET / HTTP/1.1\r\n\r\n":                         {400, "there is no Host", "GET / HTTP/1.1"},
		"GET / HTTP/1.1\r\nHost:\r\n":                    {400, "the Host is empty", "GET / HTTP/1.1"},
		post + "X : y\r\n":                               {400, "whitespace in or after the name of a header field", "POST / HTTP/1.1"},
		post + " X: y\r\n":                               {400, "a header line begins with whitespace: folded lines are obsolete", "POST / HTTP/1.1"},
		post + "Content-Length: +1\r\n":                  {400, "the Content-Length is no number", "POST / HTTP/1.1"},
		post + "Content-Length: 9223372036854775808\r\n": {400, "the Content-Length is too large", "POST / HTTP/1.1"},
		post + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n": {400, "there is a Content-Length beside a Transfer-Encoding", "POST / HTTP/1.1"},
		post + "Transfer-Encoding: gzip\r\n":                                      {501, "the only Transfer-Encoding that is understood is chunked", "POST / HTTP/1.1"},
		"GET /" + strings.Repeat("x", 2000) + "# HTTP/4.0\r\n":                    {505, "only HTTP/1.1 and HTTP/1.0 are spoken here", "GET /" + strings.Repeat("x", maxLogged-5)},

		"GET /" + strings.Repeat("x", maxHeader):         {431, "the header is larger than the 65536 bytes that are allowed", "GET /" + strings.Repeat("x", maxLogged-5)},
		post + "X: " + strings.Repeat("x", maxHeader):    {431, "the header is larger than the 65536 bytes that are allowed", "POST / HTTP/1.1"},
		post + strings.Repeat("X: y\r\n", maxHeader/6+1): {431, "the header is larger than the 65536 bytes that are allowed", "POST / HTTP/1.1"},
	} {
		for _, before := range []string{"", get, post + "Content-Length: 2\r\n\r\nhi"} {
			for _, size := range []int{1, 7, 10_000} {
				w := newWire(pieces(before+text+get+get, size)...)
				refused := 0
				seen := serve(t, w, func(client net.Addr, err *Error, _ int) {
					if refused++; *err != want || client != w.RemoteAddr() && client.String() != w.RemoteAddr().String() {
						t.Errorf("%.40q: %+v from %v, want %+v", text, *err, client, want)
					}
				})
				if n := min(len(before), 1); len(seen) != n || refused != 1 {
					t.Errorf("%.40q after %.10q: %d requests, %d refused", text, before, len(seen), refused)
				}
				got := statuses(w.out.String())
				last := fmt.Sprint(want.Status)
				if len(got) != len(seen)+1 || got[len(got)-1] != last || got[0] != "200" && before != "" || !strings.HasSuffix(w.out.String(), "\n\n"+want.Reason+"\n") {
					t.Errorf("%.40q after %.10q was answered %q", text, before, w.out.String())
				}
			}
		}
	}
}

// What is refused in a body fails the handler's Read, and does not look as if the client had
// left. Nothing after it is a request.
func TestRefusedBodies(t *testing.T) {
	for _, rest := range []string{
		"2 \r\nhi\r\n0\r\n\r\n", "2;\r\nhi\r\n0\r\n\r\n", "2;\x00\r\nhi\r\n0\r\n\r\n", "2;a\nhi\r\n0\r\n\r\n", "2\nhi\r\n0\r\n\r\n", "2\rhi\r\n0\r\n\r\n", "2\r\rhi\r\n0\r\n\r\n",
		"2\r\nhi!\r\n0\r\n\r\n", "2\r\nhi\n0\r\n\r\n", "2\r\nhi\r0\r\n\r\n", "0x2\r\nhi\r\n0\r\n\r\n", "-2\r\nhi\r\n0\r\n\r\n", "\r\nhi\r\n0\r\n\r\n", "8000000000000000\r\nhi", "00000000000000002\r\nhi\r\n0\r\n\r\n",
		"0\r\nX : y\r\n\r\n", "0\r\n X: y\r\n\r\n", "0\r\nX: y\n\r\n", "0\r\n\n", "0\r\n\rX\r\n\r\n", "0\r\nX: \x00\r\n\r\n",
		"2;a=" + strings.Repeat("x", maxExtensions) + "\r\nhi\r\n0\r\n\r\n", "0\r\nX: " + strings.Repeat("x", maxTrailer) + "\r\n\r\n",
	} {
		for _, size := range []int{1, 5, 100_000} {
			w := newWire(pieces(code+rest+get, size)...)
			seen := serve(t, w, func(net.Addr, *Error, int) { t.Errorf("%.30q: counted as a header", rest) })
			if len(seen) != 1 || seen[0].err == nil || seen[0].gone {
				t.Errorf("%.30q, %d bytes at a time: requests %.300v", rest, size, seen)
			}
			if got := statuses(w.out.String()); len(got) != 1 || got[0] != "400" {
				t.Errorf("%.30q was answered %q", rest, w.out.String())
			}
		}
	}
}

// Lines of any length that come in any number of pieces are not kept once they have ended.
func TestLinesAreNotKept(t *testing.T) {
	s := scanner{maxHeader: maxHeader}
	for _, piece := range pieces("GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 60_000)+"\r\n\r\n", 1000) {
		if _, err := s.scan(piece); err != nil {
			t.Fatal(err)
		}
	}
	if s.state != start || cap(s.partial) > keepLine || cap(s.logged) > 2*maxLogged {
		t.Errorf("state %d, %d and %d bytes kept", s.state, cap(s.partial), cap(s.logged))
	}
}

func TestNoAllocations(t *testing.T) {
	s := scanner{maxHeader: maxHeader}
	in := []byte(browser)
	if n := testing.AllocsPerRun(100, func() { _, _ = s.scan(in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
