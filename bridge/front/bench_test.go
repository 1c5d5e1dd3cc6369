//go:build linux

package front_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// BenchmarkFront is a request from 32 kept connections to the event loops and to the application, all in
// this process. make pgo has its profile.
func BenchmarkFront(b *testing.B) {
	for name, tc := range map[string]struct {
		request  string
		body     string
		multiply config.Switch
	}{
		"small, own":    {"GET /bytes?length=1&n=200 HTTP/1.1", "", config.Off},
		"small, shared": {"GET /bytes?length=1&n=200 HTTP/1.1", "", config.On},
		"form":          {"POST /body HTTP/1.1", strings.Repeat("a", 2000), config.Off},
		"large":         {"GET /bytes?n=1048576 HTTP/1.1", "", config.Off},
	} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, func(cfg *bridge.Config) {
				cfg.Workers, cfg.Observe, cfg.Multiplex = 64, nil, tc.multiply
			}, nil)
			const fields = "\r\nHost: wiki.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)\r\nAccept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: trac_session=0123456789abcdef; theme=dark\r\n"
			text := tc.request + fields + "\r\n"
			if tc.body != "" {
				text = tc.request + fields + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 2000\r\n\r\n" + tc.body
			}
			b.ReportAllocs()
			var clients sync.WaitGroup
			left := make(chan struct{}, b.N)
			for range b.N {
				left <- struct{}{}
			}
			close(left)
			b.ResetTimer()
			for range 32 {
				c := dial(b, r.loop)
				clients.Go(func() {
					in := bufio.NewReaderSize(c, 64<<10)
					for range left {
						if _, err := c.Write([]byte(text)); err != nil {
							b.Error(err)
							return
						}
						resp, err := http.ReadResponse(in, nil)
						if err != nil {
							b.Error(err)
							return
						}
						if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
							b.Errorf("%d, %v", resp.StatusCode, err)
							return
						}
					}
				})
			}
			clients.Wait()
		})
	}
}
