package config

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
)

// Authorizer is an application that is asked about a request before it is let through: how to
// reach it, and how much it is asked at once. It belongs to the application, whose sites all ask
// it over the same connections.
type Authorizer struct {
	Address string `key:"address" flag:"authorizer" value:"ADDR" doc:"ADDR of a FastCGI authorizer, such as unix:/path or host:port: it is asked about each request before the application gets it"`
	Workers int    `key:"workers" default:"4" doc:"how many requests the authorizer is asked about at once: its threads or processes"`
}

// Authorization says which requests of a site the authorizer is asked about, what it is told, and
// what the application gets of its answer.
type Authorization struct {
	Paths []string `key:"paths" flag:"authorizer-path" value:"PREFIX" otherwise:"all" doc:"URL PREFIX below which the authorizer is asked, whole or as it is below {mount}, static files included"`
	// Whatever is below Except is not protected at all.
	Except []string `key:"except" value:"PREFIX" otherwise:"none" doc:"URL PREFIX below which the authorizer is not asked, such as that of its own log-in page"`
	// Complete writes Fields in their canonical form.
	Fields []string `key:"fields" value:"NAMES" commas:"true" otherwise:"all" doc:"NAMES of the request header fields that the authorizer gets, besides Host, such as Cookie,Authorization"`
	// Variables that Sluice sets itself, and those that begin with HTTP_, are never taken.
	Variables []string `key:"variables" value:"NAMES" commas:"true" otherwise:"all" doc:"NAMES of the variables that the application gets, of those that the authorizer gives in Variable-NAME fields"`
	User      Switch   `key:"user" words:"on off" doc:"on: REMOTE_USER and AUTH_TYPE are what the authorizer gives, if it gives them; off: they are never its"`
}

// check checks what Complete cannot know of the single settings.
func (a *Authorizer) check() error {
	if a.Address == "" {
		return errors.New("authorizer.address: none given; say where the authorizer is, such as unix:/run/authorizer.sock")
	}
	if _, _, err := ParseAddress(a.Address); err != nil {
		return fmt.Errorf("authorizer.address: %w", err)
	}
	if p := ProtocolOf(a.Address); p != "" && p != FastCGI {
		return fmt.Errorf("authorizer.address: %s speaks %s, which has no authorizers: want FastCGI", a.Address, p)
	}
	return nil
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
