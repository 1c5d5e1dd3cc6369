package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Protocol is what an application speaks.
type Protocol string

// The values of a Protocol.
const (
	FastCGI Protocol = "fastcgi"
	SCGI    Protocol = "scgi"
	UWSGI   Protocol = "uwsgi"
	HTTP    Protocol = "http"
)

// schemes are what an address may begin with to name the protocol.
var schemes = [...]struct {
	name     string
	protocol Protocol
}{{"fcgi", FastCGI}, {"scgi", SCGI}, {"uwsgi", UWSGI}, {"http", HTTP}}

// schemeNames lists them for errors: "fcgi, scgi or uwsgi".
func schemeNames() string {
	names := make([]string, len(schemes))
	for i, s := range schemes {
		names[i] = s.name
	}
	return oneOf(names)
}

// ProtocolOf returns the protocol that an address names, or "".
func ProtocolOf(address string) Protocol {
	scheme, _ := cutScheme(address)
	return protocolOf(scheme)
}

func protocolOf(scheme string) Protocol {
	for _, s := range schemes {
		if s.name == scheme {
			return s.protocol
		}
	}
	return ""
}

// cutScheme returns what precedes "://" or "+unix:", and the address without it.
func cutScheme(s string) (scheme, rest string) {
	if strings.HasPrefix(s, "unix:") || strings.HasPrefix(s, "unix/") {
		return "", s // a path may contain anything
	}
	if scheme, rest, found := strings.Cut(s, "://"); found {
		return scheme, rest
	}
	if scheme, path, found := strings.Cut(s, "+unix:"); found {
		return scheme, "unix:" + path
	}
	return "", s
}

// httpServers are programs that speak HTTP unless they are told otherwise: one that is taken for a
// FastCGI program answers nothing until a time-out.
var httpServers = [...]string{"gunicorn", "uvicorn", "hypercorn", "waitress-serve", "puma"}

// usualProtocol is what a command speaks whose protocol is not configured.
func (s *Spawn) usualProtocol() Protocol {
	if s != nil && len(s.Command) > 0 && slices.Contains(httpServers[:], filepath.Base(s.Command[0])) {
		return HTTP
	}
	return FastCGI
}

// resolveProtocol sets Protocol to what all backends speak.
func (a *Application) resolveProtocol() error {
	without := cmp.Or(a.Protocol, a.Spawn.usualProtocol()) // what addresses that name no protocol speak
	speaks := func(backend string) Protocol {
		if p := ProtocolOf(backend); p != "" {
			return p
		}
		return without
	}
	for i, backend := range a.Backends {
		switch p, first := speaks(backend), speaks(a.Backends[0]); {
		case i > 0 && p != first:
			return fmt.Errorf("backends: %s speaks %s, and %s speaks %s: all backends of an application speak one protocol", a.Backends[0], first, backend, p)
		case a.Protocol != "" && p != a.Protocol:
			return fmt.Errorf("protocol: is %s, and %s speaks %s (remove one of them)", a.Protocol, backend, p)
		}
	}
	a.Protocol = without
	if len(a.Backends) > 0 {
		a.Protocol = speaks(a.Backends[0])
	}
	return nil
}
