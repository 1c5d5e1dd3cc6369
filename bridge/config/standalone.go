package config

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// Standalone is the whole configuration of sluice serve: a server, applications, and the sites in
// front of them.
type Standalone struct {
	Server       Server
	Applications []*NamedApplication
	Sites        []*HostedSite
}

// NamedApplication is an application with the name by which sites, logs and metrics refer to it.
type NamedApplication struct {
	Name string `key:"name" flag:"-" value:"NAME" otherwise:"application, if there is no other application" doc:"NAME by which sites, logs, metrics and the status refer to the application"`
	Application
}

// HostedSite is a site with the hosts that it is for and the application behind it.
type HostedSite struct {
	Hosts []string `key:"hosts" flag:"-" value:"HOST" otherwise:"all that no other site names" doc:"HOST names of the site, such as wiki.example.org, or *.example.org for all below example.org"`
	// Uses is the name of a NamedApplication.
	Uses string  `key:"application" flag:"-" value:"NAME" otherwise:"the only one" doc:"NAME of the application behind the site"`
	Auth Login   `key:"auth"`
	TLS  SiteTLS `key:"tls"`
	Site
}

// FlagSite is what a command line says of its only site besides its Config.
type FlagSite struct {
	Auth Login   `key:"auth"`
	TLS  SiteTLS `key:"tls"`
}

var (
	applicationSchema = declare[NamedApplication]()
	siteSchema        = declare[HostedSite]()
	flagSchema        = declare[FlagSite]()
)

// Schema implements Holder.
func (*NamedApplication) Schema() *Schema { return applicationSchema }

// Schema implements Holder.
func (*HostedSite) Schema() *Schema { return siteSchema }

// Schema implements Holder.
func (*FlagSite) Schema() *Schema { return flagSchema }

// OnlyApplication is the name of an application without one, if there is no other.
const OnlyApplication = "application"

// applicationName is what a NamedApplication may be called.
var applicationName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Complete fills in declared defaults and checks the values. An error begins with the key.
func (a *NamedApplication) Complete() error {
	if err := a.Application.Complete(); err != nil {
		return err
	}
	switch {
	case a.Name == "":
		return errors.New("name: none given; sites name the application by it, such as name = \"wiki\"")
	case !applicationName.MatchString(a.Name):
		return fmt.Errorf("name: is %q, want letters, digits, \".\", \"_\" and \"-\", at most 64", a.Name)
	}
	return nil
}

// Complete fills in declared defaults and checks the values. An error begins with the key.
func (s *HostedSite) Complete() error {
	for _, host := range s.Hosts {
		if err := checkHost(host); err != nil {
			return fmt.Errorf("hosts: %w", err)
		}
	}
	if err := s.Auth.check(); err != nil {
		return err
	}
	if err := complete(s, func(s *Setting) bool { return strings.HasPrefix(s.Key, "tls.") }); err != nil {
		return err
	}
	if err := s.TLS.check(); err != nil {
		return err
	}
	return s.Site.Complete()
}

// hostName matches a name in lower case, without a port.
var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)

func checkHost(host string) error {
	name, _ := strings.CutPrefix(CanonicalHost(host), "*.")
	switch _, err := netip.ParseAddr(strings.Trim(host, "[]")); {
	case err == nil:
		return nil
	case host == "*" || host == "":
		return fmt.Errorf("%q: for all hosts that no other site names, leave hosts out", host)
	case strings.Contains(host, "://"):
		return fmt.Errorf("%q: is a URL, want a host such as wiki.example.org", host)
	case strings.Contains(host, "/"):
		return fmt.Errorf("%q: has a path: hosts has names alone, and mount has the path", host)
	case strings.Contains(host, ":"):
		return fmt.Errorf("%q: has a port: sites are told apart by their names alone (listen has the ports)", host)
	case strings.Contains(name, "*"):
		return fmt.Errorf("%q: the only place for * is the beginning: *.example.org", host)
	case len(name) > 253 || !hostName.MatchString(name):
		return fmt.Errorf("%q: is no host name, want one such as wiki.example.org, in ASCII (xn--... for others)", host)
	}
	return nil
}

// CanonicalHost returns a host as it is compared: in lower case, without a final dot and brackets.
func CanonicalHost(host string) string {
	return strings.TrimSuffix(strings.Trim(strings.ToLower(host), "[]"), ".")
}

// Twice is the error for an application that is the same one as another, whose name is first.
func Twice(a *Application, first string) error {
	key, what := "backends", "are"
	if a.Spawn != nil {
		key, what = "spawn.command", "is"
	}
	return fmt.Errorf("%s: %s the application %q already: give all its sites application = %[3]q, so that one gate knows of all requests", key, what, first)
}
