package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
)

// TestWebServerRefusal has a web server refused in the way that was chosen.
func TestWebServerRefusal(t *testing.T) {
	const (
		begin      = "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"
		params     = "\x01\x04\x00\x01\x00\x0e\x00\x00\x0b\x01REQUEST_URI/" + "\x01\x04\x00\x01\x00\x00\x00\x00"
		stdinEnd   = "\x01\x05\x00\x01\x00\x00\x00\x00"
		overloaded = "\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00"
	)
	for choice, want := range map[string]string{"503": "Status: 503 Service Unavailable\r\n", "overloaded": overloaded} {
		of := newServer(&accessLog{}, &errorLog{log: slog.New(slog.DiscardHandler)}, nil)
		if err := of.begin(t.Context(), flagSetup(t, "--listen", "fcgi://127.0.0.1:0", "--web-server-refusal", choice)); err != nil {
			t.Fatal(err)
		}
		of.drain()
		s := &cgiserver.Server{Handler: http.HandlerFunc(of.front.webServer), Logger: of.log}
		c, other := net.Pipe()
		go s.ServeConn(other)
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, begin+params+stdinEnd); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(got), want) || choice == "overloaded" && string(got) != overloaded {
			t.Errorf("%s: %q, %v, want %q", choice, got, err, want)
		}
		_ = s.Close()
		of.close()
	}
	if o := parsed(t, "--backend", "unix:/run/app.sock", "--workers", "2", "--web-server-refusal", "busy"); !strings.Contains(o.complete(nil).Error(), `--web-server-refusal: is "busy", want 503 or overloaded`) {
		t.Error("a refusal that is none was taken")
	}
}
