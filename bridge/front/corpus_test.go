//go:build linux

package front_test

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

// corpusCase is a request that others test their parsers with, as a conversation, followed by
// one for /next: what both fronts answer. Where we are stricter or laxer, note says why.
type corpusCase struct{ name, text, want, note string }

const nextRequest = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

// of makes a request of a first line and fields.
func of(line string, fields ...string) string {
	return line + "\r\n" + strings.Join(append(fields, "\r\n"), "\r\n")
}

// What llhttp, the parser of Node.js, is tested with (test/request), as far as it is about what a server
// takes. Its requests have no Host mostly; these have one.
var llhttp = []corpusCase{
	// connection.md
	{name: "keep-alive", text: of("PUT /url HTTP/1.1", "Host: a", "Connection: keep-alive"), want: "200 200"},
	{name: "HTTP/1.0 is not kept", text: of("PUT /url HTTP/1.0"), want: "200"},
	{name: "CRLF between requests", text: of("POST / HTTP/1.1", "Host: a", "Content-Length: 4") + "q=42\r\n", want: "200 200"},
	{name: "close", text: of("PUT /url HTTP/1.1", "Host: a", "Connection: close"), want: "200"},
	{name: "CRLF after close", text: of("POST / HTTP/1.1", "Host: a", "Content-Length: 4", "Connection: close") + "q=42\r\n", want: "200"},
	{name: "several tokens", text: of("PUT /url HTTP/1.1", "Host: a", "Connection: close, token, upgrade, token, keep-alive"), want: "200"},
	{name: "folded tokens", text: of("GET /demo HTTP/1.1", "Host: a", "Connection: Something,", " Upgrade, ,Keep-Alive", "Upgrade: WebSocket"), want: "400", note: "folded lines are refused (RFC 9112, section 5.2)"},
	{name: "an upgrade", text: of("GET /demo HTTP/1.1", "Host: a", "Connection: keep-alive, upgrade", "Upgrade: WebSocket"), want: "200 200", note: "the application speaks FastCGI, and cannot"},
	{name: "an upgrade of PUT with a body", text: of("PUT /url HTTP/1.1", "Host: a", "Connection: upgrade", "Content-Length: 4", "Upgrade: ws") + "abcd", want: "200 200", note: "as before"},

	// content-length.md
	{name: "zeros before a length", text: of("PUT /url HTTP/1.1", "Host: a", "Content-Length: 003", "Ohai: world") + "abc", want: "200 200"},
	{name: "a length that overflows", text: of("PUT /url HTTP/1.1", "Host: a", "Content-Length: 1000000000000000000000"), want: "400"},
	{name: "two lengths", text: of("PUT /url HTTP/1.1", "Host: a", "Content-Length: 1", "Content-Length: 2"), want: "400"},
	{name: "a length and identity", text: of("PUT /url HTTP/1.1", "Host: a", "Content-Length: 1", "Transfer-Encoding: identity"), want: "501"},
	{name: "a length and chunked", text: of("PUT /url HTTP/1.1", "Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"), want: "400"},
	{name: "a length in mixed case", text: of("GET /funky HTTP/1.0", "conTENT-Length: 5") + "HELLO", want: "200"},
	{name: "spaces around a length", text: of("POST / HTTP/1.1", "Host: a", "Content-Length:  2 ") + "ab", want: "200 200"},
	{name: "a space in a length", text: of("POST / HTTP/1.1", "Host: a", "Content-Length: 4 2"), want: "400"},
	{name: "a space in a longer length", text: of("POST / HTTP/1.1", "Host: a", "Content-Length: 13 37"), want: "400"},
	{name: "an empty length", text: of("POST / HTTP/1.1", "Host: a", "Content-Length:"), want: "400"},
	{name: "CR for a dash", text: of("PUT /url HTTP/1.1", "Host: a", "Content\rLength: 003") + "abc", want: "400"},

	// invalid.md
	{name: "ICE", text: of("GET /music/sweet/music ICE/1.0", "Host: a"), want: "400"},
	{name: "IHTTP", text: of("GET /music/sweet/music IHTTP/1.0", "Host: a"), want: "400"},
	{name: "RTSP", text: of("PUT /music/sweet/music RTSP/1.0", "Host: a"), want: "400"},
	{name: "a method of RTSP", text: of("ANNOUNCE /music HTTP/1.1", "Host: a"), want: "200 200", note: "a method is any token: the application knows its own"},
	{name: "fields separated by CR", text: of("GET / HTTP/1.1", "Host: a", "Foo: 1\rBar: 2"), want: "400"},
	{name: "fields separated by LF", text: of("POST / HTTP/1.1", "Host: a", "x:x\nTransfer-Encoding: chunked") + "1\r\nA\r\n0\r\n\r\n", want: "400"},
	{name: "CR and a letter after the fields", text: "GET / HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\rZGET /evil: HTTP/1.1\r\nHost: a\r\n\r\n", want: "400"},
	{name: "an empty field, CR", text: of("POST / HTTP/1.1", "Host: a", "x:\rTransfer-Encoding: chunked") + "1\r\nA\r\n0\r\n\r\n", want: "400"},
	{name: "an empty field, LF", text: of("POST / HTTP/1.1", "Host: a", "x:\nTransfer-Encoding: chunked") + "1\r\nA\r\n0\r\n\r\n", want: "400"},
	{name: "@ in a name", text: of("GET / HTTP/1.1", "Host: a", "Fo@: Failure"), want: "400"},
	{name: "a control character in a name", text: of("GET / HTTP/1.1", "Host: a", "Foo\x01\test: Bar"), want: "400"},
	{name: "no name", text: of("GET / HTTP/1.1", "Host: a", ": Bar"), want: "400"},
	{name: "a method nobody knows", text: of("MKCOLA / HTTP/1.1", "Host: a"), want: "200 200", note: "as above"},
	{name: "a folded name", text: of("GET / HTTP/1.1", "Host: a", "name", " : value"), want: "400"},
	{name: "a corrupted name", text: of("GET / HTTP/1.1", "Host: a", "Connection\r\033\065\325eep-Alive", "Accept-Encoding: gzip"), want: "400"},
	{name: "no CR between fields", text: of("GET / HTTP/1.1", "Host: a", "Dummy: x\nContent-Length: 23") + of("GET / HTTP/1.1", "Dummy: GET /admin HTTP/1.1", "Host: a"), want: "400"},
	{name: "HTTP/5.6", text: of("GET / HTTP/5.6", "Host: a"), want: "505"},
	{name: "a space after the first line", text: of("GET / HTTP/1.1", " Host: a"), want: "400"},
	{name: "LF only", text: "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n1\nA\n0\n\n", want: "400"},
	{name: "a space before a field", text: of("POST /hello HTTP/1.1", "Host: a", "Foo: bar", " Content-Length: 38"), want: "400"},

	// method.md, sample.md, uri.md
	{name: "REPORT", text: of("REPORT /test HTTP/1.1", "Host: a"), want: "200 200"},
	{name: "CONNECT", text: of("CONNECT 0-home0.netscape.com:443 HTTP/1.0", "User-agent: Mozilla/1.1N") + "some data\r\nand yet even more data", want: "405", note: "this is no proxy of that kind"},
	{name: "M-SEARCH *", text: of("M-SEARCH * HTTP/1.1", "HOST: 239.255.255.250:1900", "MAN: \"ssdp:discover\""), want: "400 200", note: "only OPTIONS is for * (RFC 9112, section 3.2.4)"},
	{name: "PATCH", text: of("PATCH /file.txt HTTP/1.1", "Host: a", "If-Match: \"e0023aa4e\"", "Content-Length: 10") + "cccccccccc", want: "200 200"},
	{name: "LINK", text: of("LINK /images/my_dog.jpg HTTP/1.1", "Host: a", "Link: <http://a/joe>; rel=\"tag\"", "Link: <http://a/sally>; rel=\"tag\""), want: "200 200"},
	{name: "a tab before a value", text: of("OPTIONS /url HTTP/1.1", "Host: a", "Header2:\t Value2"), want: "200 200"},
	{name: "HEAD", text: of("HEAD /url HTTP/1.1", "Host: a"), want: "200 200"},
	{name: "a Host that is none", text: of("GET /test HTTP/1.1", "Host: 0.0.0.0=5000", "Accept: */*"), want: "200 200", note: "a name may have any sub-delimiter (RFC 3986, section 3.2.2)"},
	{name: "a value of pluses", text: of("GET /dumbpack HTTP/1.1", "Host: a", "aaaaaaaaaaaaa:++++++++++"), want: "200 200"},
	{name: "no fields", text: "GET /world HTTP/1.1\r\n\r\n", want: "400", note: "Host is needed (RFC 9112, section 3.2)"},
	{name: "HTTP/1.0 with Host", text: of("GET /test HTTP/1.0", "Host: 0.0.0.0:5000", "User-Agent: ApacheBench/2.3"), want: "200"},
	{name: "CRLF first", text: "\r\n" + of("GET /test HTTP/1.1", "Host: a"), want: "200 200"},
	{name: "no version", text: "GET /\r\n\r\n", want: "400", note: "HTTP/0.9 is refused"},
	{name: "folded values", text: of("GET / HTTP/1.1", "Host: a", "Line1:   abc", "\tdef", " ghi"), want: "400", note: "as above"},
	{name: "folded values, LF", text: "GET / HTTP/1.1\nHost: a\nLine1:   abc\n\tdef\n\n", want: "400"},
	{name: "UTF-8 in a value", text: of("GET / HTTP/1.1", "Host: a", "Test: Düsseldorf"), want: "200 200"},
	{name: "255 in a value", text: of("OPTIONS /url HTTP/1.1", "Host: a", "Header2: \xffValue2"), want: "200 200"},
	{name: "quotes in the target", text: of(`GET /with_"lovely"_quotes?foo=\"bar\" HTTP/1.1`, "Host: a"), want: "200 200"},
	{name: "two question marks", text: of("GET /test.cgi?foo=bar?baz HTTP/1.1", "Host: a"), want: "200 200"},
	{name: "a host that ends with a query", text: of("GET http://hypnotoad.org?hail=all HTTP/1.1", "Host: a"), want: "200 200"},
	{name: "a port that ends with a query", text: of("GET http://hypnotoad.org:1234?hail=all HTTP/1.1", "Host: a"), want: "200 200"},
	{name: "a vertical bar", text: of("GET /test.cgi?query=\x7c HTTP/1.1", "Host: a"), want: "200 200"},
	{name: "a port that ends with a space", text: of("GET http://hypnotoad.org:1234 HTTP/1.1", "Host: a"), want: "200 200"},
	{name: "UTF-8 in the target", text: of("GET /δ¶/δt/pope?q=1 HTTP/1.1", "Host: a"), want: "200 200", note: "old clients send it, and others take it"},
	{name: "a fragment", text: of("GET /forums/1/topics/2375?page=1#posts-17408 HTTP/1.1", "Host: a"), want: "400 200", note: "a target has none (RFC 9112, section 3.2.1)"},
	{name: "a user in a URL", text: of("GET http://a%12:b!&*$@hypnotoad.org:1234/toto HTTP/1.1", "Host: a"), want: "400 200", note: "RFC 9110, section 4.2.4"},
	{name: "a space in the target", text: of("GET /foo bar/ HTTP/1.1", "Host: a"), want: "400"},

	// transfer-encoding.md; an encoding that is not known is 501, also beside a length
	{name: "an empty encoding and a length", text: of("POST /first HTTP/1.1", "Host: a", "Transfer-Encoding:", "Content-Length: 5") + "hello", want: "501"},
	{name: "a size in lower case", text: of("PUT /url HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "a\r\n0123456789\r\n0\r\n\r\n", want: "200 200"},
	{name: "a size in upper case", text: of("PUT /url HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "A\r\n0123456789\r\n0\r\n\r\n", want: "200 200"},
	{name: "three zeros at the end", text: of("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n", want: "200 200"},
	{name: "trailers", text: of("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\nVary: *\r\nContent-Type: text/plain\r\n\r\n", want: "200 200"},
	{name: "extensions", text: of("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "5;ilovew3;somuchlove=aretheseparametersfor;another=withvalue\r\nhello\r\n6;blahblah;blah\r\n world\r\n0\r\n\r\n", want: "200 200"},
	{name: "an extension without a semicolon", text: of("POST / HTTP/1.1", "Host: a", "Transfer-encoding: chunked") + "2 erfrferferf\r\naa\r\n0 rrrr\r\n\r\n", want: "400"},
	{name: "a semicolon without an extension", text: of("POST / HTTP/1.1", "Host: a", "Transfer-encoding: chunked") + "2;\r\naa\r\n0\r\n\r\n", want: "400"},
	{name: "quoted extensions", text: of("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + `5;ilovew3="I \"love\"; \\extensions\\";blah;foo=bar` + "\r\nhello\r\n0\r\n\r\n", want: "200 200"},
	{name: "a quote that does not end", text: of("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "5;ilovew3=\"abc\";somuchlove=\"def; ghi\r\nhello\r\n0\r\n\r\n", want: "400"},
	{name: "pigeons", text: of("PUT /url HTTP/1.1", "Host: a", "Transfer-Encoding: pigeons"), want: "501"},
	{name: "identity and a length", text: of("POST /post?q=search HTTP/1.1", "Host: a", "Transfer-Encoding: identity", "Content-Length: 5") + "World", want: "501"},
	{name: "a length and empty encodings", text: of("POST / HTTP/1.1", "Host: a", "Content-Length: 10", "Transfer-Encoding:", "Transfer-Encoding:") + "2\r\nAA\r\n0\r\n\r\n", want: "501"},
}

// What h1spec asks of a server. Its requests that are not complete are in TestPrefixesWait.
var h1spec = []corpusCase{
	{name: "no version", text: "GET / \r\n\r\n", want: "400"},
	{name: "Expect", text: of("GET / HTTP/1.1", "Host: example.com", "Expect: 100-continue"), want: "200 200", note: "there is nothing to continue with"},
	{name: "a request", text: of("GET / HTTP/1.1", "Host: example.com"), want: "200 200"},
	{name: "a tab, and nothing", text: of("GET / HTTP/1.1", "hoSt:\texample.com", "empty:"), want: "200 200"},
	{name: "brackets in a name", text: of("GET / HTTP/1.1", "Host: example.com", "X-Invalid[]: test"), want: "400"},
	{name: "no Host", text: of("GET / HTTP/1.1", "Content-Length: 5"), want: "400"},
	{name: "two Hosts", text: of("GET / HTTP/1.1", "Host: example.com", "Host: example.org"), want: "400"},
	{name: "a negative length that overflows", text: of("GET / HTTP/1.1", "Host: example.com", "Content-Length: -123456789123456789123456789"), want: "400"},
	{name: "a negative length", text: of("GET / HTTP/1.1", "Host: example.com", "Content-Length: -1234"), want: "400"},
	{name: "a length of letters", text: of("GET / HTTP/1.1", "Host: example.com", "Content-Length: abc"), want: "400"},
	{name: "an empty value", text: of("GET / HTTP/1.1", "Host: example.com", "X-Empty-Header: "), want: "200 200"},
	{name: "a control character", text: of("GET / HTTP/1.1", "Host: example.com", "X-Bad-Control-Char: test\x07"), want: "400"},
	{name: "HTTP/9.9", text: of("GET / HTTP/9.9", "Host: example.com"), want: "505"},
	{name: "more before the method", text: of("Extra lineGET / HTTP/1.1", "Host: example.com"), want: "400"},
	{name: "CR for a line's end", text: "GET / HTTP/1.1\r\nHost: example.com\r\n\rSome-Header: Test\r\n\r\n", want: "400"},
	{name: "a body", text: of("POST / HTTP/1.1", "Host: example.com", "Content-Length: 5") + "hello", want: "200 200"},
	{name: "chunked and a length", text: of("GET / HTTP/1.1", "Host: example.com", "Transfer-Encoding: chunked", "Content-Length: 5"), want: "400"},
}

var statuses = regexp.MustCompile(`HTTP/1\.[01] (\d{3}) `)

// The loops refuse what others refuse, and answer as net/http does.
func TestCorpora(t *testing.T) {
	r := newRig(t, nil, nil)
	for corpus, cases := range map[string][]corpusCase{"llhttp": llhttp, "h1spec": h1spec} {
		for _, c := range cases {
			t.Run(corpus+" "+c.name, func(t *testing.T) {
				t.Parallel() // what is refused is listened to for a while
				text := c.text + nextRequest
				ours, theirs := talk(t, r.loop, text), talk(t, r.net, text)
				wantSame(t, text, ours, theirs)
				var got []string
				for _, m := range statuses.FindAllStringSubmatch(ours, -1) {
					got = append(got, m[1])
				}
				if list := strings.Join(got, " "); list != c.want {
					t.Errorf("%q\nstatuses %s, want %s; %s\n%.500q", text, list, c.want, c.note, ours)
				}
			})
		}
	}
}

// A request that is not complete is waited for, wherever it stops.
func TestPrefixesWait(t *testing.T) {
	r := newRig(t, nil, nil)
	text := of("GET /hello HTTP/1.1", "Host: localhost") // h1spec stops at fifteen of these places
	for n := 1; n < len(text); n++ {
		t.Run(fmt.Sprintf("%q", text[:n]), func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", r.loop)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, text[:n]); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 12)
			_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if n, err := c.Read(b); n > 0 || !isTimeout(err) {
				t.Fatalf("%q, %v before the request was complete", b[:n], err)
			}
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.WriteString(c, text[n:]); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, b); err != nil || string(b) != "HTTP/1.1 200" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
