//go:build linux

package caddy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A client that sends all of a body that is refused before it reads comes to read why, also
// where handle_errors has the answer.
func TestRefusedUploadIsAnswered(t *testing.T) {
	a := startApp(t, echo)
	block := fmt.Sprintf("sluice %s {\nmax_body 1MiB\nhide /data\n}", a.addr)
	for name, directives := range map[string]string{
		"handler":     block,
		"error pages": block + "\nhandle_errors {\nrespond \"our page {err.status_code}\"\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, directives)
			const size = 20 << 20
			body := strings.Repeat("x", size)
			for framing, text := range map[string]string{
				"announced": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body),
				"chunked":   fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body),
			} {
				for path, want := range map[string]int{"/": 413, "/data/x": 404} {
					for range 5 {
						if status, err := upload(s, path, text); status != want || err != nil {
							t.Errorf("%s to %s: %d, %v; want %d", framing, path, status, err, want)
						}
					}
				}
			}
		})
	}
}

// upload sends a request whole, and then reads the answer to its end.
func upload(s *site, path, rest string) (status int, err error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: "+c.RemoteAddr().String()+"\r\n"+rest); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
