package http1_test

import (
	"testing"

	"github.com/sluice-proxy/sluice/bridge/http1"
)

func BenchmarkAppend(b *testing.B) {
	r := http1.Request{Method: "GET", Target: "/wiki/Start?action=edit", Host: "example.org", Fields: []http1.Field{
		{Name: "User-Agent", Value: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
		{Name: "Accept", Value: "text/html,application/xhtml+xml"},
		{Name: "Cookie", Value: "trac_session=0123456789abcdef"},
	}}
	buf := make([]byte, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = r.Append(buf, true)
	}
}

func BenchmarkDecoder(b *testing.B) {
	in := []byte("HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Sun, 29 Nov 2026 01:00:00 GMT\r\nConnection: keep-alive\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello")
	r := http1.Request{Method: "GET"}
	var d http1.Decoder
	b.ReportAllocs()
	for b.Loop() {
		d.Begin(&r)
		for rest, ended := in, false; !ended; {
			_, rest, ended, _ = d.Next(rest)
		}
	}
}
