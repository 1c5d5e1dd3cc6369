package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestProtocol(t *testing.T) {
	for _, c := range []struct {
		protocol Protocol
		backends string
		want     Protocol
		err      string
	}{
		{"", "unix:/a :9000", FastCGI, ""},
		{"", "fcgi+unix:/a :9000", FastCGI, ""},
		{"", "scgi+unix:/a scgi://:4000", SCGI, ""},
		{"", "uwsgi://127.0.0.1:3031", UWSGI, ""},
		{UWSGI, "unix:/a uwsgi://:3031", UWSGI, ""},
		{SCGI, ":4000", SCGI, ""},
		{"", "unix:/a scgi://:4000", "", "backends: unix:/a speaks fastcgi, and scgi://:4000 speaks scgi: all backends of an application speak one protocol"},
		{"", "uwsgi+unix:/a scgi://:4000", "", "backends: uwsgi+unix:/a speaks uwsgi, and scgi://:4000 speaks scgi"},
		{UWSGI, "scgi+unix:/a scgi://:4000", "", "protocol: is uwsgi, and scgi+unix:/a speaks scgi (remove one of them)"},
		{"", "http://:8000 http+unix:/a", HTTP, ""},
		{HTTP, ":8000", HTTP, ""},
		{"https", ":9000", "", `protocol: is "https", want fastcgi, scgi, uwsgi or http`},
		{"", "scgi://:4000 :4000", "", "backends: :4000 is named twice"},
	} {
		a := Application{Protocol: c.protocol, Backends: strings.Fields(c.backends)}
		for range 2 { // what is complete can be completed
			err := a.Complete()
			if c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err)) || c.err == "" && (err != nil || a.Protocol != c.want) {
				t.Errorf("%s, %q: %q, %v, want %q, %s", c.backends, c.protocol, a.Protocol, err, c.want, c.err)
			}
		}
	}
	a := Application{Protocol: SCGI, Spawn: &Spawn{Command: []string{"app"}}}
	if err := a.Complete(); err != nil || a.Protocol != SCGI || a.Multiplex != Off {
		t.Errorf("a command: %v, %s, multiplex %s", err, a.Protocol, a.Multiplex)
	}
	for _, c := range []struct {
		protocol Protocol
		command  string
		want     Protocol
		socket   SocketMode
	}{
		{"", "gunicorn -k gthread --threads 8 app:app", HTTP, SocketActivation},
		{"", "/usr/bin/gunicorn --bind {address} app:app", HTTP, SocketPath},
		{"", "uvicorn --fd 3 app:app", HTTP, SocketActivation},
		{"", "waitress-serve --listen={address} app:app", HTTP, SocketPath},
		{"", "puma --bind tcp://127.0.0.1:{port}", HTTP, SocketPort},
		{FastCGI, "gunicorn app:app", FastCGI, SocketStdin},    // a program of one's own may have any name
		{"", "uwsgi --wsgi-file app.py", FastCGI, SocketStdin}, // it speaks what it is told to
		{"", "./gunicorn.fcgi", FastCGI, SocketStdin},
		{"", "env gunicorn app:app", FastCGI, SocketStdin},
	} {
		a := Application{Protocol: c.protocol, Spawn: &Spawn{Command: strings.Fields(c.command)}}
		for range 2 {
			if err := a.Complete(); err != nil || a.Protocol != c.want || a.Spawn.Socket != c.socket {
				t.Errorf("%q, %s: %v, %s, socket %s, want %s, %s", c.protocol, c.command, err, a.Protocol, a.Spawn.Socket, c.want, c.socket)
			}
		}
	}
	for _, a := range []Application{{KeepAlive: On}, {Multiplex: On}} {
		a.Backends = []string{"scgi://:4000"}
		if err := a.Complete(); err == nil || !strings.Contains(err.Error(), "is on, and the application speaks scgi: a connection carries one request") {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// Each protocol that an address can name can be written as the setting, too, and their sentences
// name all of them: an application that is complete can be completed again.
func TestProtocolsAreNamed(t *testing.T) {
	backends, protocol := Lookup("backends"), Lookup("protocol")
	for _, s := range schemes {
		if !strings.Contains(backends.Doc, s.name) || !strings.Contains(protocol.Doc, string(s.protocol)) {
			t.Errorf("the sentences of backends and protocol do not name %s", s.name)
		}
		if !slices.Contains(protocol.Words, string(s.protocol)) {
			t.Errorf("%s is not among the words of protocol, %q", s.protocol, protocol.Words)
		}
	}
	if len(protocol.Words) != len(schemes) {
		t.Errorf("%d words, %d schemes", len(protocol.Words), len(schemes))
	}
}

// An instance is the same one however its protocol is written, and another protocol is another
// kind of application.
func TestProtocolChange(t *testing.T) {
	complete := func(protocol Protocol, backend string) *Application {
		t.Helper()
		a := &Application{Protocol: protocol, Backends: []string{backend}}
		if err := a.Complete(); err != nil {
			t.Fatal(err)
		}
		return a
	}
	one, same, other := complete("", "scgi+unix:/a"), complete(SCGI, "unix//a"), complete("", "unix:/a")
	if one.Identity() != same.Identity() || one.Differs(same) != nil || same.NeedsBackend(one) != "" || !slices.Equal(one.Addresses(), []string{"unix:/a"}) {
		t.Errorf("%s, %s, %v, needs %q, %q", one.Identity(), same.Identity(), one.Differs(same), same.NeedsBackend(one), one.Addresses())
	}
	if err := one.Differs(other); err == nil || err.Error() != "protocol: is scgi and fastcgi" || other.NeedsBackend(one) != "protocol" {
		t.Errorf("%v, needs %q", err, other.NeedsBackend(one))
	}
}

// In HTTP connections carry further requests, and are given up early when they are not used.
func TestHTTP(t *testing.T) {
	a := Application{Backends: []string{"http://:8000"}, KeepAlive: On}
	if err := a.Complete(); err != nil || a.KeepAlive != On || a.Multiplex != Off || a.Timeouts.Idle != Duration(time.Second) {
		t.Errorf("%v, keep_alive %s, multiplex %s, timeouts.idle %v", err, a.KeepAlive, a.Multiplex, a.Timeouts.Idle)
	}
	b := Application{Backends: []string{"unix:/a"}}
	if err := b.Complete(); err != nil || b.Timeouts.Idle != Duration(5*time.Second) {
		t.Errorf("fastcgi: %v, timeouts.idle %v", err, b.Timeouts.Idle)
	}
	for _, preset := range []string{"php", "cgi"} {
		a := Application{Backends: []string{"http://:8000"}, Preset: Preset(preset)}
		if err := a.Complete(); err == nil || !strings.HasPrefix(err.Error(), "preset: is "+preset+", and the application speaks http") {
			t.Errorf("preset %s: %v", preset, err)
		}
	}
	for _, a := range []Application{{Multiplex: On}} {
		a.Backends = []string{"http://:8000"}
		if err := a.Complete(); err == nil || !strings.Contains(err.Error(), "multiplex: is on, and the application speaks http") {
			t.Errorf("%v", err)
		}
	}
}
