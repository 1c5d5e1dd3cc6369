package cgiserver_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/cgiserver"
)

func netstring(vars ...string) string {
	header := strings.Join(vars, "\x00") + "\x00"
	return fmt.Sprintf("%d:%s,", len(header), header)
}

// The request of the specification (section 4), with a length that nginx was told to send, too.
func TestSCGI(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := connect(t, &cgiserver.Server{Protocol: cgiserver.SCGI, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if v := cgi.ReceivedOf(r); fmt.Sprint(v.Vars) != "[{CONTENT_LENGTH 27} {REQUEST_METHOD POST} {REQUEST_URI /deepthought}]" {
				t.Error(v.Vars)
			}
			echo(w, r)
		})})
		p.send("86:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00REQUEST_URI\x00/deepthought\x00CONTENT_LENGTH\x00\x00,What is the answer to life?")
		p.expect(head + `27 "What is the answer to life?" <nil>`)
		p.closed()
	})
}

func TestSCGIMalformed(t *testing.T) {
	for name, in := range map[string]string{
		"no length":              ":",
		"no digit":               "GET / HTTP/1.1\r\n",
		"a length that is large": "1234567890:",
		"no comma":               "24:CONTENT_LENGTH\x000\x00SCGI\x001\x00;",
		"no version":             netstring("CONTENT_LENGTH", "0"),
		"another version":        netstring("CONTENT_LENGTH", "0", "SCGI", "2"),
		"length not first":       netstring("A", "b", "CONTENT_LENGTH", "0", "SCGI", "1"),
		"length is none":         netstring("CONTENT_LENGTH", "x", "SCGI", "1"),
		"empty length":           netstring("CONTENT_LENGTH", "", "SCGI", "1"),
		"a name alone":           "5:SCGI\x00,",
		"no zero byte":           "4:SCGI,",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := connect(t, &cgiserver.Server{Protocol: cgiserver.SCGI, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") })})
				go func() { _, _ = io.WriteString(p.conn, in) }()
				p.closed()
				if n := p.log.count("breaks the protocol"); n != 1 {
					t.Errorf("it is %d times in the log", n)
				}
			})
		})
	}
}

// The web server is answered while it sends, is waited for, and may leave.
func TestSCGIConnection(t *testing.T) {
	request := netstring("CONTENT_LENGTH", "9", "SCGI", "1", "REQUEST_URI", "/")
	t.Run("left", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			began, ended := make(chan struct{}), make(chan error)
			p := connect(t, &cgiserver.Server{Protocol: cgiserver.SCGI, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(began)
				<-r.Context().Done()
				_, err := io.ReadAll(r.Body)
				ended <- err
			})})
			p.send(request, "abc")
			<-began
			_ = p.conn.Close()
			if err := <-ended; err == nil {
				t.Error("the body is whole")
			}
			<-p.gone
		})
	})
	t.Run("early answer", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			p := connect(t, &cgiserver.Server{Protocol: cgiserver.SCGI, Handler: text("early")})
			p.send(request)
			p.expect(head + "early")
			p.closed()
		})
	})
	t.Run("too large, too many, too slow", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := &cgiserver.Server{Protocol: cgiserver.SCGI, MaxParams: 50, MaxRequests: 1, HeaderTimeout: 3 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}
			p := connect(t, s)
			p.send("51:")
			p.expect("Status: 431 ")
			p = connect(t, s)
			p.send(request)
			synctest.Wait()
			p = connect(t, s)
			p.send(request)
			p.expect("Status: 503 ")
			p = connect(t, s)
			began := time.Now()
			p.send("9")
			p.closed()
			if took := time.Since(began); took != 3*time.Second {
				t.Errorf("closed after %v", took)
			}
		})
	})
}
