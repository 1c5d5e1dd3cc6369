package framing

import (
	"net"
	"net/http"
	"sync"
	"testing"
)

// browser is a header as a browser sends it, of 700 bytes.
const browser = "GET /wiki/Start?action=view&version=12 HTTP/1.1\r\nHost: trac.example.org\r\nConnection: keep-alive\r\n" +
	"sec-ch-ua: \"Chromium\";v=\"128\", \"Not;A=Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n" +
	"Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-US,en;q=0.9\r\nCookie: trac_session=0123456789abcdef01234567; trac_form_token=0123456789abcdef01234567\r\n\r\n"

func BenchmarkScan(b *testing.B) {
	for name, text := range map[string]string{
		"small":   "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"browser": browser,
		"chunked": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			s := scanner{maxHeader: maxHeader}
			in := []byte(text)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if n, err := s.scan(in); err != nil || n != len(text) {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// BenchmarkRequest is a request and its answer on a kept connection of loopback, with
// requests looked at and without.
func BenchmarkRequest(b *testing.B) {
	for _, name := range []string{"net/http", "checked"} {
		b.Run(name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			from := l
			if name == "checked" {
				from = &Listener{Listener: l, MaxHeader: maxHeader}
			}
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = nil
				w.Header()["Content-Length"] = []string{"0"}
			})}
			var served sync.WaitGroup
			served.Go(func() { _ = srv.Serve(from) })
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			in, out := []byte(browser), make([]byte, 256)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(in); err != nil {
					b.Fatal(err)
				}
				if _, err := c.Read(out); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
			srv.Close()
			served.Wait()
		})
	}
}
