package config

import (
	"slices"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for s, want := range map[string][2]string{
		"unix:/run/app.sock": {"unix", "/run/app.sock"},
		"unix//run/app.sock": {"unix", "/run/app.sock"},
		"127.0.0.1:9000":     {"tcp", "127.0.0.1:9000"},
		"[::1]:9000":         {"tcp", "[::1]:9000"},
		"app.test:9000":      {"tcp", "app.test:9000"},
		":9000":              {"tcp", "127.0.0.1:9000"},
		"unix:/" + strings.Repeat("x", 102): {
			"unix", "/" + strings.Repeat("x", 102),
		},
		"fcgi://127.0.0.1:9000":   {"tcp", "127.0.0.1:9000"},
		"scgi://:4000":            {"tcp", "127.0.0.1:4000"},
		"uwsgi://[::1]:3031":      {"tcp", "[::1]:3031"},
		"fcgi+unix:/run/app.sock": {"unix", "/run/app.sock"},
		"scgi+unix:/run/app.sock": {"unix", "/run/app.sock"},
		"unix:/a/scgi+unix:/b://": {"unix", "/a/scgi+unix:/b://"},
	} {
		network, addr, err := ParseAddress(s)
		if err != nil || network != want[0] || addr != want[1] {
			t.Errorf("%s: %s %s, %v, want %v", s, network, addr, err, want)
		}
	}
	for _, s := range []string{
		"", "app", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:nonsense", "unix:", "unix:app.sock",
		"unix/app.sock", "/run/app.sock", "run/app.sock:1", "unix:/" + strings.Repeat("x", 103), "http://127.0.0.1:9000",
		"http+unix:/run/app.sock", "fastcgi://127.0.0.1:9000", "SCGI://127.0.0.1:9000", "://127.0.0.1:9000", "+unix:/run/app.sock",
		"scgi://", "scgi://127.0.0.1", "scgi://127.0.0.1:4000/", "scgi://unix:/run/app.sock", "scgi:///run/app.sock",
		"scgi:127.0.0.1:4000", "scgi+unix:app.sock", "scgi+unix//run/app.sock", "unix+scgi:/run/app.sock",
	} {
		if network, addr, err := ParseAddress(s); err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("%q: %s %s, %v, want an error that quotes it", s, network, addr, err)
		}
	}
}

// Errors about the protocol name what there is.
func TestAddressErrors(t *testing.T) {
	for s, want := range map[string]string{
		"http://127.0.0.1:9000":     `there is no protocol "http": want fcgi, scgi or uwsgi, such as scgi+unix:/path or scgi://host:port`,
		"fastcgi+unix:/a":           `there is no protocol "fastcgi": want fcgi`,
		"scgi://unix:/run/app.sock": "for a unix socket write scgi+unix:/path",
		"nowhere":                   "want unix:/path or host:port; scgi+unix:/path and scgi://host:port name the protocol: fcgi, scgi or uwsgi",
	} {
		if _, _, err := ParseAddress(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", s, err, want)
		}
	}
}

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
		{"http", ":9000", "", `protocol: is "http", want fastcgi, scgi or uwsgi`},
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
	for _, a := range []Application{{KeepAlive: On}, {Multiplex: On}} {
		a.Backends = []string{"scgi://:4000"}
		if err := a.Complete(); err == nil || !strings.Contains(err.Error(), "is on, and the application speaks scgi: a connection carries one request") {
			t.Errorf("%+v: %v", a, err)
		}
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
