package cgiserver_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/cgiserver"
)

// Whatever a web server sends: no handler is called without variables, and when it has closed
// the connection, everything ends.
func fuzz(f *testing.F, protocol cgiserver.Protocol, seeds ...string) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := &cgiserver.Server{
			Protocol: protocol, MaxParams: 1 << 10, MaxRequests: 4, Authorizer: true, Logger: slog.New(slog.DiscardHandler),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if cgi.ReceivedOf(r) == nil || r.URL == nil || r.Body == nil {
					t.Error("an incomplete request")
				}
				n, _ := io.Copy(w, r.Body)
				if r.ContentLength >= 0 && n > r.ContentLength {
					t.Errorf("%d bytes of %d", n, r.ContentLength)
				}
			}),
		}
		c, other := net.Pipe()
		gone := make(chan struct{})
		go func() {
			s.ServeConn(other)
			close(gone)
		}()
		go func() { _, _ = io.Copy(io.Discard, c) }()
		_, _ = c.Write(in)
		_ = c.Close()
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			t.Fatal("the connection does not end")
		}
	})
}

func FuzzFastCGI(f *testing.F) {
	fuzz(
		f, cgiserver.FastCGI, begin+get+paramsEnd+stdinEnd, beginKeep+get+paramsEnd+record(5, "abc")+stdinEnd+beginKeep+abort,
		beginKeep+of(2, beginKeep+get)+get+record(4, "\x0e\x01CONTENT_LENGTH3")+paramsEnd+of(2, paramsEnd+stdinEnd)+record(5, "abc"),
		"\x01\x09\x00\x00\x00\x10\x00\x00"+"\x0e\x00FCGI_MAX_CONNS",
	)
}

func FuzzSCGI(f *testing.F) {
	fuzz(f, cgiserver.SCGI, netstring("CONTENT_LENGTH", "3", "SCGI", "1", "REQUEST_URI", "/")+"abc", "70:CONTENT_LENGTH")
}
