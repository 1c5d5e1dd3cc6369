//go:build linux

package loop

import (
	"bufio"
	"bytes"
	"net/http"
	"reflect"
	"testing"

	"github.com/sluice-proxy/sluice/internal/framing"
)

// headers are of requests, without the empty line at their end.
var headers = []string{
	"GET / HTTP/1.1\r\nHost: a",
	"GET /a/b-c_d.e~f,g;h=1:2@3!(4)*'5'?x=y&z HTTP/1.1\r\nHost: a:80\r\nCookie: a=b; c=d\r\nAccept: */*",
	"GET /? HTTP/1.1\r\nHost: a",
	"GET /?? HTTP/1.1\r\nHost: a",
	"GET /a?b?c HTTP/1.1\r\nHost: a",
	"GET //a//b HTTP/1.1\r\nHost: a",
	"GET /%41%2f%C3%A9?%zz HTTP/1.1\r\nHost: a",
	"GET /a\"b|c<d>^`{}\\[] HTTP/1.1\r\nHost: a",
	"GET /\xc3\xa9 HTTP/1.1\r\nHost: a",
	"GET http://b/c HTTP/1.1\r\nHost: a",
	"GET / HTTP/1.0",
	"GET / HTTP/1.0\r\nConnection: keep-alive",
	"OPTIONS * HTTP/1.1\r\nHost: a",
	"CONNECT a:80 HTTP/1.1\r\nHost: a",
	"CONNECT /a HTTP/1.1\r\nHost: a",
	"PRI / HTTP/1.1\r\nHost: a",
	"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Type: text/plain; charset=utf-8",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: close",
	"GET / HTTP/1.1\r\nhost:a\r\nconnection: Close\r\nConnection: x",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\nConnection: close",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: clo\u017fe",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: \u212aeep-alive",
	"GET / HTTP/1.1\r\nHost: a\r\nPragma: no-cache",
	"GET / HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\nCache-Control: max-age=0",
	"GET / HTTP/1.1\r\nHost: a\r\nx-FORWARDED-for: 1.2.3.4\r\nX-Forwarded-For: \t5.6.7.8 \t\r\nEmpty:\r\nX_Y: z:z",
	"GET / HTTP/1.1\r\nHost: a\r\nTrailer: x\r\nTE: trailers\r\nExpect: 100-continue\r\nUpgrade: websocket",
	"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\x80\r\n!#$%&'*+.^_`|~0: 1",
}

// What is parsed here is what net/http would have made of it.
func TestParse(t *testing.T) {
	usual := 0
	for _, h := range headers {
		usual += compareParsed(t, []byte(h+"\r\n\r\n"))
	}
	if usual < 15 {
		t.Errorf("%d of the requests are as most are", usual)
	}
}

func FuzzParse(f *testing.F) {
	for _, h := range headers {
		f.Add([]byte(h + "\r\n\r\n"))
	}
	f.Fuzz(func(t *testing.T, b []byte) { compareParsed(t, b) })
}

// compareParsed returns 1 if parseUsual has parsed the header.
func compareParsed(t *testing.T, header []byte) (usual int) {
	t.Helper()
	scan := framing.NewHead(64 << 10)
	n, whole, bad := scan.Scan(bytes.Clone(header))
	if !whole || bad != nil || scan.Length() < 0 { // chunks are for net/http
		return 0
	}
	header = header[:n]
	got := parseUsual(header, t.Context())
	if got == nil {
		return 0
	}
	want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(header)))
	if err != nil {
		t.Fatalf("%q: net/http says %v", header, err)
	}
	want.Body, want.ContentLength = http.NoBody, 0
	if want = want.WithContext(t.Context()); !reflect.DeepEqual(got, want) {
		t.Fatalf("%q\n%+v, URL %+v; net/http has\n%+v, URL %+v", header, got, got.URL, want, want.URL)
	}
	return 1
}

func BenchmarkParse(b *testing.B) {
	header := []byte("GET /wiki/Start?action=view HTTP/1.1\r\nHost: example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: trac_session=0123456789abcdef\r\n\r\n")
	b.Run("here", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if parseUsual(header, b.Context()) == nil {
				b.Fatal("it is not as most are")
			}
		}
	})
	b.Run("net/http", func(b *testing.B) {
		b.ReportAllocs()
		source := bytes.NewReader(nil)
		reader := bufio.NewReader(source)
		for b.Loop() {
			source.Reset(header)
			reader.Reset(source)
			r, err := http.ReadRequest(reader)
			if err != nil {
				b.Fatal(err)
			}
			_ = r.WithContext(b.Context())
		}
	})
}
