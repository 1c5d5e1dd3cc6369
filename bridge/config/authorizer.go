package config

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
)

// Authorizer is an application that is asked about a request before it is let through: how to
// reach it, and how much it is asked at once. It belongs to the application, whose sites all ask
// it over the same connections.
type Authorizer struct {
	Address string `key:"address" flag:"authorizer" value:"ADDR" doc:"ADDR of an authorizer that is asked about each request before the application gets it: in FastCGI at unix:/path or host:port, in HTTP at http://host:port/path or http+unix:/socket:/path"`
	Workers int    `key:"workers" default:"4" doc:"how many requests the authorizer is asked about at once: its threads or processes"`
}

// Authorization says which requests of a site the authorizer is asked about, what it is told, and
// what the application gets of its answer.
type Authorization struct {
	Paths []string `key:"paths" flag:"authorizer-path" value:"PREFIX" otherwise:"all" doc:"URL PREFIX below which the authorizer is asked, whole or as it is below {mount}, static files included"`
	// Whatever is below Except is not protected at all.
	Except []string `key:"except" value:"PREFIX" otherwise:"none" doc:"URL PREFIX below which the authorizer is not asked, such as that of its own log-in page"`
	// Complete writes Fields in their canonical form.
	Fields []string `key:"fields" value:"NAMES" commas:"true" otherwise:"all" doc:"NAMES of the request header fields that the authorizer gets, besides Host and those that Sluice writes, such as Cookie,Authorization"`
	// In FastCGI, variables that Sluice sets itself, and those that begin with HTTP_, are never
	// taken. In HTTP, a client's own fields of these names are never passed on, so all must be known
	// beforehand.
	Variables []string `key:"variables" value:"NAMES" commas:"true" otherwise:"all; in HTTP those of oauth2-proxy and Authelia" doc:"NAMES of what the application gets of the authorizer's answer: in FastCGI the variables in Variable-NAME fields, in HTTP fields such as X-Auth-Request-User"`
	User      Switch   `key:"user" words:"on off" doc:"on: REMOTE_USER and AUTH_TYPE are what the authorizer gives, in HTTP Remote-User or X-Auth-Request-User; off: they are never its"`
}

// check checks what Complete cannot know of the single settings.
func (a *Authorizer) check() error {
	if a.Address == "" {
		return errors.New("authorizer.address: none given; say where the authorizer is, such as unix:/run/authorizer.sock")
	}
	backend, target := a.Backend()
	if _, _, err := ParseAddress(backend); err != nil {
		return fmt.Errorf("authorizer.address: %w", err)
	}
	if p := ProtocolOf(backend); p != "" && p != FastCGI && p != HTTP {
		return fmt.Errorf("authorizer.address: %s speaks %s, which has no authorizers: want FastCGI or HTTP", a.Address, p)
	}
	if target == "" {
		return nil
	}
	if _, err := url.ParseRequestURI(target); err != nil || strings.ContainsAny(target, " #") {
		return fmt.Errorf("authorizer.address: %s asks for %q, which is no path of a URL", a.Address, target)
	}
	return nil
}

// SpeaksHTTP reports whether the authorizer is asked in HTTP, and not in FastCGI.
func (a *Authorizer) SpeaksHTTP() bool { return ProtocolOf(a.Address) == HTTP }

// Backend splits Address into where the authorizer is, as an application's backend is written, and
// the path and query that it is asked for in HTTP: "" for those of the request in question.
func (a *Authorizer) Backend() (backend, target string) {
	if !a.SpeaksHTTP() {
		return a.Address, ""
	}
	scheme, rest := cutScheme(a.Address)
	begin := strings.IndexByte(rest, '/')
	if path, isUnix := strings.CutPrefix(a.Address, scheme+"+unix:"); isUnix {
		if begin = strings.Index(path, ":/"); begin >= 0 {
			return scheme + "+unix:" + path[:begin], path[begin+1:]
		}
	}
	if begin < 0 {
		return a.Address, ""
	}
	return scheme + "://" + rest[:begin], rest[begin:]
}

// IsSet reports whether something is not as it is without an authorizer.
func (a *Authorization) IsSet() bool {
	return !reflect.DeepEqual(*a, Authorization{}) && !reflect.DeepEqual(*a, Authorization{User: On})
}

// complete makes a copy of Fields in canonical form.
func (a *Authorization) complete() {
	fields := a.Fields
	a.Fields = nil
	for _, name := range fields {
		a.Fields = append(a.Fields, http.CanonicalHeaderKey(name))
	}
}
