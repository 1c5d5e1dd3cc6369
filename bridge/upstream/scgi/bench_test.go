package scgi_test

import (
	"testing"

	codec "github.com/sluice-proxy/sluice/bridge/upstream/scgi"
)

func BenchmarkAppendHead(b *testing.B) {
	r, buf := vars("CONTENT_LENGTH", "2", "REQUEST_METHOD", "GET", "REQUEST_URI", "/wiki/Start", "HTTP_USER_AGENT", "curl/8.0"), make([]byte, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = codec.Codec{}.AppendHead(buf, 1, false, r)
	}
}
