//go:build linux

package integration

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

// A client sends two uploads on one connection, the second a moment after the first was
// answered. PHP answers as soon as it has the body, often before we are back from writing it.
func TestStreamedUploadsOnKeptConnections(t *testing.T) {
	t.Parallel()
	for name, be := range map[string]backend{
		"php-cgi": startPHPCGI(t, testdata(t, ""), 2), "libfcgi": startLibfcgi(t, 2),
	} {
		t.Run(name, func(t *testing.T) {
			gate := startSluice(t, append(be.args(), "--request-buffering", "off")...)
			s := newSite(t, gate.url+be.prefix)
			lost := 0
			for range 150 {
				if err := twoUploads(t, s); err != nil {
					lost++
					t.Log(err)
				}
			}
			if lost > 0 {
				t.Errorf("%d of 150 were lost", lost)
			}
		})
	}
}

func twoUploads(t *testing.T, s site) error {
	r := s.request(t, http.MethodPost, "/body", nil)
	c, err := net.Dial("tcp", r.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	for i := range 2 {
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n%s", r.URL.RequestURI(), strings.Repeat("x", 5000))
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return fmt.Errorf("request %d: %w", i+1, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || vars(string(body))["length"] != "5000" {
			return fmt.Errorf("request %d: %s %q, %w", i+1, resp.Status, head(string(body)), err)
		}
		if resp.Close {
			return fmt.Errorf("request %d: its answer ended the connection", i+1)
		}
		time.Sleep(7 * time.Millisecond)
	}
	return nil
}
