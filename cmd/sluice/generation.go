package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/bridge/config"
	evented "github.com/sluice-proxy/sluice/bridge/front"
	"github.com/sluice-proxy/sluice/bridge/registry"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/certs"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/hosts"
)

// generation is one version of the configuration: the sites of a setup, with their applications.
type generation struct {
	*setup
	configuration *registry.Configuration
	sites         []*site
	table         hosts.Table[*site]
	trusts        func(netip.Addr) bool // whether an address is a trusted proxy of a site
	pairs         []*certs.Pair
	acme          *certs.ACME // nil: no certificates are obtained
	notes         []error     // what is probably not meant
}

// namedApplication is an application that requests may reach, by the name that it has in the
// configuration.
type namedApplication struct {
	name string
	*registry.Application
}

// build makes the sites of a setup, and finds or makes their applications. Nothing is started, and
// nothing that runs is changed. With a file, all that is wrong is found: the error is
// tomlfile.Problems.
func (s *server) build(c *setup) (_ *generation, err error) {
	g := &generation{setup: c, configuration: s.registry.NewConfiguration(nil), trusts: proxies(c.trustedProxies())}
	var wrong []error
	users := make(map[string]*registry.User)
	former := s.formerSites(c)
	for i, setting := range c.Sites {
		s.pace.pause()
		site, err := s.site(g, setting, former, users)
		if err != nil {
			wrong = append(wrong, c.SiteError(i, err))
			continue
		}
		g.sites = append(g.sites, site)
		g.table.Add(setting.Hosts, setting.Mount, site)
	}
	wrong = append(wrong, s.readCertificates(g)...)
	if err := s.authority(g); err != nil {
		wrong = append(wrong, g.ServerError(err))
	}
	if err := firstOrAll(wrong); err != nil {
		g.release()
		return nil, err
	}
	return g, nil
}

// placeOf is what no two sites of a configuration have in common.
func placeOf(s *config.HostedSite) string {
	return strings.Join(append([]string{s.Mount}, s.Hosts...), "\x00")
}

// formerSites are the sites in force by their places, if those of c may be the same.
func (s *server) formerSites(c *setup) map[string]*site {
	g := s.front.current.Load()
	if g == nil || g.onlyWebServers() != c.onlyWebServers() {
		return nil
	}
	sites := make(map[string]*site, len(g.sites))
	for _, site := range g.sites {
		sites[placeOf(site.setting)] = site
	}
	return sites
}

// site makes a site, or keeps the former one with the same settings.
func (s *server) site(g *generation, setting *config.HostedSite, former map[string]*site, users map[string]*registry.User) (_ *site, err error) {
	application := g.applicationOf(setting)
	user := users[application.Name]
	if user == nil {
		user = &registry.User{Name: "a site", Called: application.Name, Log: s.logOf(g, application.Name)}
		users[application.Name] = user
	}
	cfg := config.Config{Application: application.Application, Site: setting.Site}
	if f := former[placeOf(setting)]; f != nil && reflect.DeepEqual(f.setting, setting) {
		kept, err := g.keep(f, cfg, user)
		if !errors.Is(err, registry.ErrCannotKeep) {
			return kept, err
		}
	}
	made := &site{front: s.front, setting: setting, hsts: hstsOf(&setting.TLS), isNew: true}
	if made.auth, err = s.logins.of(setting, application.Fleet.Engine); err != nil {
		return nil, err
	}
	hooks := s.hooks(g, made)
	if err := (bridge.Config{ApplicationConfig: cfg.Application, SiteConfig: cfg.Site, SiteHooks: hooks}).CheckDirectories(); err != nil {
		return nil, err
	}
	if made.from, err = g.configuration.Acquire(cfg, hooks, user); err != nil {
		return nil, err
	}
	made.bridge = made.from.Handler()
	made.served = s.traces.Handler(made.bridge)
	if s.inLoops {
		made.looped, err = evented.NewSite(made.bridge)
	}
	if err != nil {
		made.from.Release()
		return nil, err
	}
	return made, nil
}

// keep returns the site that goes on in place of former, with all that former has. Its error may be
// registry.ErrCannotKeep.
func (g *generation) keep(former *site, cfg config.Config, user *registry.User) (*site, error) {
	if err := former.bridge.CheckDirectories(); err != nil {
		return nil, err
	}
	from, err := g.configuration.Keep(former.from, cfg, user)
	if err != nil {
		return nil, err
	}
	kept := *former
	kept.from, kept.isNew = from, false
	return &kept, nil
}

// hooks are the callbacks of a site.
func (s *server) hooks(g *generation, of *site) bridge.SiteHooks {
	application := ""
	if g.path != "" {
		application = of.setting.Uses
	}
	h := bridge.SiteHooks{
		FromWebServer: g.onlyWebServers(),
		ServeFile:     of.redirected, ClientConn: clientConn,
		Observe: func(r *http.Request, outcome *bridge.Outcome) {
			s.access.observe(application, r, outcome)
			s.slow.observe(r, outcome)
			s.traces.Observe(r, outcome)
		},
	}
	if of.auth != nil {
		h.Identify, h.SameForAllPaths, h.Guesses = of.auth.Identify, len(of.setting.Auth.Paths) == 0, of.auth
	}
	if g.Server.WebServerRefusal == config.RefusalOverloaded {
		h.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, status int, _ error) bool {
			return status == http.StatusServiceUnavailable && cgiserver.Overload(w)
		}
	}
	return h
}

// find returns the site that a request is for, nil if there is none.
func (g *generation) find(r *http.Request) *site {
	found, _ := g.table.Find(r.Host, func() string {
		path, err := cgi.CleanPath(r)
		if err != nil {
			return "/" // any site refuses it
		}
		return path
	})
	return found
}

// applications returns the applications that sites use, in the order of the configuration.
func (g *generation) applications() (list []namedApplication) {
	for _, a := range g.Applications {
		if i := slices.IndexFunc(g.sites, func(s *site) bool { return s.setting.Uses == a.Name }); i >= 0 {
			list = append(list, namedApplication{a.Name, g.sites[i].from.Application()})
		}
	}
	return list
}

// start prepares the changes of existing applications, and starts the processes of new ones. If it
// fails, nothing has changed.
func (g *generation) start(ctx context.Context) error {
	err := g.configuration.Start(ctx)
	failed, ok := errors.AsType[*registry.ApplicationError](err)
	if !ok {
		return err
	}
	for i, site := range g.sites {
		if site.from.Application() == failed.Application {
			if g.path != "" {
				return g.SiteError(i, fmt.Errorf("%w (application %s)", failed.Err, site.setting.Uses))
			}
			return g.SiteError(i, failed.Err)
		}
	}
	return err
}

// changed returns how many sites the former generation did not have like this.
func (g *generation) changed() (n int) {
	for _, site := range g.sites {
		if site.isNew {
			n++
		}
	}
	return n
}

// stop ends the use of the sites when another generation has taken over. Requests that are in them go on.
func (g *generation) stop(pause func()) {
	g.configuration.Stop()
	for _, site := range g.sites {
		pause()
		site.from.Release()
	}
}

func (g *generation) release() {
	for _, site := range g.sites {
		site.from.Release()
	}
}
