//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Where no length is announced, as by PHP to an HTTP/1.0 client, the end of the connection
// is that of the answer. It is a reset, whoever cuts the answer off.
func TestTruncatedHTTP10(t *testing.T) {
	const most = 20
	for name, cut := range map[string]func(*testing.T, sluice){
		"for the end": func(t *testing.T, gate sluice) {
			gate.signal(t, syscall.SIGTERM)
			<-gate.ended
		},
		"for others": func(t *testing.T, gate sluice) {
			for range most - 1 {
				send(connect(t, floodFrom, gate.url), "GET /unread.php HTTP/1.0\r\n\r\n")
			}
			side := gate.side(t)
			eventually(t, "all connections have requests", func() error {
				if s := readState(t, side).Front.Connections; s.Open-s.Idle < most {
					return fmt.Errorf("%+v", s)
				}
				return nil
			})
			connect(t, goodFrom, gate.url)
			eventually(t, "one is cut", func() error {
				if s := readState(t, side).Front.Connections; s.CutActive != 1 {
					return fmt.Errorf("%+v", s)
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root+"/unread.php", `<?php for ($i = 0; $i < 64; $i++) echo str_repeat('x', 1 << 20);`)
			gate := startGate(t, []string{
				"--preset", "php", "--root", root, "--max-connections", fmt.Sprint(most), "--drain-timeout", "200ms",
				"--", need(t, "php-cgi"),
			})
			c := connect(t, floodFrom, gate.url)
			send(c, "GET /unread.php HTTP/1.0\r\n\r\n")
			if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 15)
			if _, err := io.ReadFull(c, first); err != nil || !strings.HasPrefix(string(first), "HTTP/1.0 200 OK") {
				t.Fatalf("%q, %v", first, err)
			}
			cut(t, gate)
			if n, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after %d bytes: %v, want a reset", n, err)
			}
		})
	}
}
