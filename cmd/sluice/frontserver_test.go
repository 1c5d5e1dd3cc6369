package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/systemd"
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

// What another version of the configuration permits more of holds for web servers as well.
func TestWebServerReload(t *testing.T) {
	access, err := openAccessLog("off", config.AccessJSON, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer access.close()
	of := newServer(access, &errorLog{log: slog.New(slog.DiscardHandler)}, nil)
	defer of.close()
	of.sockets = &sockets{log: of.log, systemd: new(systemd.Sockets)}
	defer of.sockets.close()
	socket := filepath.Join(t.TempDir(), "gate")
	version := func(workers, connections string) *setup {
		return flagSetup(t, "--listen", "fcgi+unix:"+socket, "--status", "off", "--workers", workers, "--max-connections", connections)
	}
	first, second := version("2", "2"), version("5", "4")
	of.clients = newFrontServer(of, first, make(chan error, mostServers))
	defer of.clients.close()
	for _, c := range []*setup{first, second} {
		change, err := of.prepareFront(c)
		if err != nil {
			t.Fatal(err)
		}
		change.commit()
	}
	const question = "\x01\x09\x00\x00\x00\x0f\x01\x00" + "\x0d\x00FCGI_MAX_REQS" + "\x00"
	room := strconv.Itoa(second.gateRoom())
	want := "FCGI_MAX_REQS" + room
	for range 4 {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.WriteString(c, question); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 8+2+len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got[10:]) != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
}
