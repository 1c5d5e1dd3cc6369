package config

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is written of an authorizer without its address is an error, not a site without one.
func TestAuthorizerChecks(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                          "authorizer.address: none given",
		`{"workers":2}`:                               "authorizer.address: none given",
		`{"address":""}`:                              "authorizer.address: none given",
		`{"address":"authorizer.sock"}`:               "authorizer.address: address \"authorizer.sock\": want unix:/path or host:port",
		`{"address":"scgi://127.0.0.1:1"}`:            "authorizer.address: scgi://127.0.0.1:1 speaks scgi, which has no authorizers: want FastCGI or HTTP",
		`{"address":"http://127.0.0.1:1/a b"}`:        "authorizer.address: http://127.0.0.1:1/a b asks for \"/a b\", which is no path of a URL",
		`{"address":"http+unix:/run/a.sock:/a#b"}`:    "authorizer.address: http+unix:/run/a.sock:/a#b asks for \"/a#b\"",
		`{"address":"http://authorizer.test/a"}`:      "authorizer.address: address \"http://authorizer.test\": want unix:/path or host:port",
		`{"address":"http://unix:/run/a.sock:/a"}`:    "authorizer.address: address \"http://unix:\": for a unix socket write http+unix:/path",
		`{"address":"https://authorizer.test:443/a"}`: "authorizer.address: address \"https://authorizer.test:443/a\": there is no protocol \"https\"",
		`{"address":"http://127.0.0.1:1/a?b=c"}`:      "",
		`{"address":"http+unix:/run/a.sock:/a"}`:      "",
		`{"address":"unix:/a","workers":-1}`:          "authorizer.workers: is -1",
		`{"address":"fcgi+unix:/run/a.sock"}`:         "",
		`{"address":"fcgi://192.0.2.1:9000"}`:         "",
		`{"address":"unix:/a","user":"maybe"}`:        `authorizer.user: is "maybe", want on or off`,
	} {
		c := Config{Application: Application{Backends: []string{"unix:/b"}}}
		if err := json.Unmarshal([]byte(`{"authorizer":`+text+`}`), &c); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		err := c.Application.Complete()
		if err == nil {
			err = c.Site.Complete()
		}
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestAuthorizerBackend(t *testing.T) {
	for address, want := range map[string][2]string{
		"unix:/run/a.sock:/x":            {"unix:/run/a.sock:/x", ""},
		"192.0.2.1:9000":                 {"192.0.2.1:9000", ""},
		"fcgi://192.0.2.1:9000":          {"fcgi://192.0.2.1:9000", ""},
		"http://192.0.2.1:80":            {"http://192.0.2.1:80", ""},
		"http://192.0.2.1:80/":           {"http://192.0.2.1:80", "/"},
		"http://[::1]:80/a/b?c=/d":       {"http://[::1]:80", "/a/b?c=/d"},
		"http+unix:/run/a.sock":          {"http+unix:/run/a.sock", ""},
		"http+unix:/run/a.sock:/b?c=:/d": {"http+unix:/run/a.sock", "/b?c=:/d"},
	} {
		if backend, target := (&Authorizer{Address: address}).Backend(); [2]string{backend, target} != want {
			t.Errorf("%s: %q, %q", address, backend, target)
		}
	}
}

func TestAuthorizerDefaults(t *testing.T) {
	given := &Authorizer{Address: "unix:/a"}
	a := Application{Backends: []string{"unix:/b"}, Authorizer: given}
	if err := a.Complete(); err != nil || a.Authorizer.Workers != 4 || given.Workers != 0 || time.Duration(a.Timeouts.Authorizer) != 5*time.Second {
		t.Errorf("%v, %+v, %+v", err, a.Authorizer, given)
	}
	fields := []string{"cookie", "AUTHORIZATION"}
	s := Site{Authorization: Authorization{Fields: fields}}
	if err := s.Complete(); err != nil || !slices.Equal(s.Authorization.Fields, []string{"Cookie", "Authorization"}) || fields[0] != "cookie" {
		t.Errorf("%v, %q, %q", err, s.Authorization.Fields, fields)
	}
}

func TestAuthorizationIsSet(t *testing.T) {
	for _, c := range []struct {
		a    Authorization
		want bool
	}{
		{Authorization{}, false},
		{Authorization{User: On}, false},
		{Authorization{User: Off}, true},
		{Authorization{Paths: []string{"/x"}, User: On}, true},
		{Authorization{Except: []string{"/x"}}, true},
		{Authorization{Fields: []string{"Cookie"}}, true},
		{Authorization{Variables: []string{"eppn"}}, true},
	} {
		if got := c.a.IsSet(); got != c.want {
			t.Errorf("%+v: %t", c.a, got)
		}
	}
}

// An authorizer cannot come or go while requests run: some of them would not be asked about.
func TestAuthorizerNeedsBackend(t *testing.T) {
	with, without := Application{Authorizer: &Authorizer{Address: "unix:/a"}}, Application{}
	if key := with.NeedsBackend(&without); key != "authorizer" {
		t.Error(key)
	}
	if key := without.NeedsBackend(&with); key != "authorizer" {
		t.Error(key)
	}
	if err := with.Differs(&without); err == nil || err.Error() != "authorizer: is true and false" {
		t.Error(err)
	}
	elsewhere := Application{Authorizer: &Authorizer{Address: "unix:/b"}}
	if key := with.NeedsBackend(&elsewhere); key != "" {
		t.Error(key)
	}
}
