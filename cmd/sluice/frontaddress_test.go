package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/systemd"
)

// TestFrontAddresses has the ways of writing an address.
func TestFrontAddresses(t *testing.T) {
	for text, want := range map[string]frontEndpoint{
		"127.0.0.1:80":            {endpoint{addr: "127.0.0.1:80", mode: 0o666}, protocolHTTP, false},
		"unix:/run/a.sock":        {endpoint{addr: "unix:/run/a.sock", mode: 0o666}, protocolHTTP, false},
		"fcgi://127.0.0.1:9001":   {endpoint{addr: "127.0.0.1:9001", mode: 0o660}, cgiserver.FastCGI, false},
		"fcgi:127.0.0.1:9001":     {endpoint{addr: "127.0.0.1:9001", mode: 0o660}, cgiserver.FastCGI, false},
		"fcgi+unix:/run/a.sock":   {endpoint{addr: "unix:/run/a.sock", mode: 0o660}, cgiserver.FastCGI, false},
		"fcgi://unix:/run/a.sock": {endpoint{addr: "unix:/run/a.sock", mode: 0o660}, cgiserver.FastCGI, false},
		"fcgi:unix:/run/a.sock":   {endpoint{addr: "unix:/run/a.sock", mode: 0o660}, cgiserver.FastCGI, false},
		"scgi+unix:/run/a.sock":   {endpoint{addr: "unix:/run/a.sock", mode: 0o660}, cgiserver.SCGI, false},
		"scgi://[::1]:4000":       {endpoint{addr: "[::1]:4000", mode: 0o660}, cgiserver.SCGI, false},
		"fcgiwrap.example:80":     {endpoint{addr: "fcgiwrap.example:80", mode: 0o666}, protocolHTTP, false},
		"unix:/run/fcgi+unix:/x":  {endpoint{addr: "unix:/run/fcgi+unix:/x", mode: 0o666}, protocolHTTP, false},
		"systemd":                 {endpoint{addr: "systemd", mode: 0o666}, protocolHTTP, true},
		"systemd:web":             {endpoint{addr: "systemd:web", mode: 0o666}, protocolHTTP, true},
		"fcgi+systemd:gate":       {endpoint{addr: "systemd:gate", mode: 0o660}, cgiserver.FastCGI, true},
		"scgi+systemd":            {endpoint{addr: "systemd", mode: 0o660}, cgiserver.SCGI, true},
		"systemd.example:80":      {endpoint{addr: "systemd.example:80", mode: 0o666}, protocolHTTP, false},
	} {
		o := flagSetup(t, "--listen", text)
		got, err := o.endpoints()
		if err != nil || len(got) != 1 || got[0].protocol != want.protocol || got[0].addr != want.addr || got[0].mode != want.mode || got[0].inherited != want.inherited {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
		if only := o.onlyWebServers(); only != (want.protocol != protocolHTTP) {
			t.Errorf("%s: only web servers: %v", text, only)
		}
	}
	if e, err := flagSetup(t, "--listen", "fcgi+unix:/a", "--listen-mode", "0666").endpoints(); err != nil || e[0].mode != 0o666 {
		t.Errorf("a mode that was given: %+v, %v", e, err)
	}
}

// TestFrontAddressErrors says what is wrong, with which flag, and what to write.
func TestFrontAddressErrors(t *testing.T) {
	for text, want := range map[string]string{
		"uwsgi://127.0.0.1:3031":     "Sluice takes requests in HTTP, FastCGI and SCGI, and not in uwsgi",
		"uwsgi+unix:/run/a":          "and not in uwsgi",
		"fcgi:9001":                  "that is a port alone",
		"http://127.0.0.1:80":        "want host:port, :port, unix:/path or unix:@name",
		"fcgi+unix:run/a":            "must be absolute",
		"scgi://":                    "want host:port, :port, unix:/path or unix:@name",
		"fcgi+unix:/no/such/dir/a.s": "no such file or directory",
		"systemd":                    "systemd hands over no socket; start sluice by a socket unit",
		"fcgi+systemd:gate":          "systemd hands over no socket",
		"systemd:":                   "want systemd:NAME",
		"systemd:a:b":                "want systemd:NAME",
	} {
		o := parsed(t, "--backend", "unix:/run/app.sock", "--listen", text)
		c, err := o.load(nil)
		if err == nil {
			opened, prepareErr := noSockets(slog.DiscardHandler).prepare(c)
			if prepareErr != nil {
				err = c.ServerError(prepareErr)
			} else {
				opened.cancel()
			}
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--listen") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	o := parsed(t, "--backend", "unix:/run/app.sock", "--listen", "fcgi://127.0.0.1:9001", "--listen-group", "www-data")
	if _, err := o.load(nil); err == nil || !strings.Contains(err.Error(), "--listen-group: means nothing") {
		t.Errorf("a group of no socket: %v", err)
	}
	for want, args := range map[string][]string{
		`--listen "systemd:a": is there twice`:                    {"--listen", "systemd:a", "--listen", "fcgi+systemd:a"},
		`--status "systemd:a": only listen takes`:                 {"--status", "systemd:a"},
		"--listen-mode: means nothing: --listen is systemd:a, wh": {"--listen", "systemd:a", "--listen-mode", "0600"},
	} {
		if _, err := parsed(t, append(args, "--backend", "unix:/run/app.sock")...).load(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// noSockets is a set without any.
func noSockets(log slog.Handler) *sockets {
	return &sockets{log: slog.New(log), systemd: new(systemd.Sockets)}
}

// TestFrontWarnings tells who may pass for the web server.
func TestFrontWarnings(t *testing.T) {
	dir := t.TempDir()
	socket := func(name string) string { return "fcgi+unix:" + filepath.Join(dir, name) }
	for _, tt := range []struct {
		args []string
		want string // "" is silence
	}{
		{[]string{"--listen", "fcgi://127.0.0.1:0"}, ""},
		{[]string{"--listen", "127.0.0.1:0"}, ""},
		{[]string{"--listen", "fcgi://0.0.0.0:0"}, "whoever can connect to this address can pass for the web server"},
		{[]string{"--listen", socket("a"), "--listen-mode", "0666"}, "every user of this machine can pass for the web server"},
		{[]string{"--listen", socket("b")}, "name the web server's group with --listen-group"},
		{[]string{"--listen", socket("c"), "--listen-group", "0"}, ""},
	} {
		if tt.args[len(tt.args)-1] == "0" && os.Geteuid() != 0 {
			continue // only root may give a socket away
		}
		var log bytes.Buffer
		opened, err := noSockets(slog.NewTextHandler(&log, nil)).prepare(flagSetup(t, append(tt.args, "--status", "off")...))
		if err != nil {
			t.Fatal(err)
		}
		opened.cancel()
		if got := log.String(); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%q: the log has %q, want %q", tt.args, got, tt.want)
		}
	}
}

// TestSeveral accepts from all listeners, and ends with all of them.
func TestSeveral(t *testing.T) {
	dir := t.TempDir()
	var list []net.Listener
	for _, name := range []string{"a", "b", "c"} {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
	s := merge(list)
	for _, l := range list {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		accepted, err := s.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(accepted, "x"); err != nil {
			t.Fatal(err)
		}
		_ = accepted.Close()
		if b, err := io.ReadAll(c); string(b) != "x" || err != nil {
			t.Errorf("%s: %q, %v", l.Addr(), b, err)
		}
		_ = c.Close()
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Accept(); err == nil {
		t.Error("it accepts after its end")
	}
	for _, l := range list {
		if _, err := net.Dial("unix", l.Addr().String()); err == nil {
			t.Errorf("%s accepts", l.Addr())
		}
	}
}

// telling tells when it has accepted.
type telling struct {
	net.Listener
	accepted chan struct{}
}

func (l *telling) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- struct{}{}
	}
	return c, err
}

// TestSeveralLoseNothing: connections that were accepted before the end are not closed by it.
func TestSeveralLoseNothing(t *testing.T) {
	dir := t.TempDir()
	told := make(chan struct{}, 2)
	var list []net.Listener
	for _, name := range []string{"a", "b"} {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, &telling{l, told})
	}
	s := merge(list)
	for _, l := range list {
		c, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		<-told
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range list {
		c, err := s.Accept()
		if err != nil {
			t.Fatalf("a connection was lost: %v", err)
		}
		_ = c.Close()
	}
	if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the last one: %v", err)
	}
}

// TestRootOfWebServers: the presets of scripts need no root if all requests come from web servers.
func TestRootOfWebServers(t *testing.T) {
	for _, tt := range []struct {
		listen []string
		want   string
	}{
		{[]string{"fcgi://127.0.0.1:0"}, ""},
		{[]string{"fcgi://127.0.0.1:0", "scgi://127.0.0.1:0"}, ""},
		{[]string{"fcgi://127.0.0.1:0", "127.0.0.1:0"}, "root"},
	} {
		for _, preset := range []string{"php", "cgi"} {
			args := []string{"--preset", preset, "--backend", "unix:/run/app.sock", "--workers", "2"}
			for _, l := range tt.listen {
				args = append(args, "--listen", l)
			}
			c, err := parsed(t, args...).load(nil)
			if err == nil {
				s := newServer(&accessLog{}, &errorLog{log: slog.New(slog.DiscardHandler)}, nil)
				err = s.begin(t.Context(), c)
				s.close()
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q %s: %v, want %q", tt.listen, preset, err, tt.want)
			}
		}
	}
}
