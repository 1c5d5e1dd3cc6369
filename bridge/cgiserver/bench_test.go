package cgiserver_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// A GET as nginx sends it, and an answer of 200 bytes, on a kept connection in memory.
func BenchmarkRequest(b *testing.B) {
	body := make([]byte, 200)
	s := &cgiserver.Server{Logger: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"text/plain"}
		w.Header()["Content-Length"] = []string{"200"}
		_, _ = w.Write(body)
	})}
	c, other := net.Pipe()
	go s.ServeConn(other)
	defer s.Close()
	defer c.Close()
	request := fcgi.AppendBeginRequest(nil, 1, fcgi.BeginRequest{Role: fcgi.RoleResponder, Flags: fcgi.FlagKeepConn})
	params := fcgi.NewParamsWriter(request, 1)
	for _, v := range [][2]string{
		{"QUERY_STRING", "a=b"},
		{"REQUEST_METHOD", "GET"},
		{"CONTENT_TYPE", ""},
		{"CONTENT_LENGTH", ""},
		{"SCRIPT_NAME", "/wiki"},
		{"REQUEST_URI", "/wiki/Start?a=b"},
		{"DOCUMENT_URI", "/wiki/Start"},
		{"DOCUMENT_ROOT", "/srv"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"REQUEST_SCHEME", "https"},
		{"HTTPS", "on"},
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_SOFTWARE", "nginx/1.22.1"},
		{"REMOTE_ADDR", "192.0.2.1"},
		{"REMOTE_PORT", "4711"},
		{"SERVER_ADDR", "192.0.2.9"},
		{"SERVER_PORT", "443"},
		{"SERVER_NAME", "wiki.example.org"},
		{"HTTP_HOST", "wiki.example.org"},
		{"HTTP_USER_AGENT", "Mozilla/5.0"},
		{"HTTP_ACCEPT", "text/html"},
		{"HTTP_ACCEPT_LANGUAGE", "en"},
		{"HTTP_ACCEPT_ENCODING", "gzip"},
		{"HTTP_COOKIE", "session=0123456789abcdef"},
	} {
		if err := params.Add(v[0], v[1]); err != nil {
			b.Fatal(err)
		}
	}
	request = fcgi.AppendStreamEnd(params.End(), fcgi.TypeStdin, 1)
	answer := make([]byte, 8+len("Status: 200 OK\r\nContent-Length: 200\r\nContent-Type: text/plain\r\n\r\n")+8+200+8+16)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			b.Fatal(err)
		}
	}
}
