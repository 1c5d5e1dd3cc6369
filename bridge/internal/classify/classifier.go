package classify

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// Config says how the requests of a site are classified.
type Config struct {
	Label    string    // what the site's routes begin with, so that they differ from another site's
	Mount    string    // the path the site is at, without a slash at its end
	LongPoll []string  // patterns of the paths of long-polls, whole or as they are below Mount
	Key      KeySource // what client keys are made from
	Seeds    Seeds     // of client keys
	// Names returns what other gates call clients. Nil: there are none.
	Names func() *Names

	// Clients, Routes and Lanes say which parts of a request are used. The others are left
	// out: who asks; the route, its group and path; whether the request is known to be long.
	// Lanes has an effect only with Routes.
	Clients, Routes, Lanes bool
}

// Classifier classifies the requests of a site. It may be used by several goroutines at once.
type Classifier struct{ cfg Config }

// New returns the Classifier of a site.
func New(cfg Config) *Classifier { return &Classifier{cfg} }

// Client sets who asks: ClientKey, Shared and Address, and what other gates call them. The request r comes
// from client.
func (c *Classifier) Client(ask *admission.Request, r *http.Request, client *cgi.Client) {
	if !c.cfg.Clients {
		return
	}
	from, shared := c.cfg.Key.of(r, client)
	address := from
	if from != (origin{}) && from.kind != fromAddress {
		address = originOf(client.Addr)
	}
	ask.ClientKey, ask.Shared, ask.Address = from.key(&c.cfg.Seeds), shared, address.key(&c.cfg.Seeds)
	if c.cfg.Names != nil {
		names := c.cfg.Names()
		ask.ClientName, ask.AddressName = from.name(names), address.name(names)
	}
}

// Request sets what is asked for: Method, Path, Route, Group and Long. It uses the memory of
// scratch, and returns it for the next request.
func (c *Classifier) Request(ask *admission.Request, r *http.Request, scratch []byte) []byte {
	ask.Method = methodName(r.Method)
	if !c.cfg.Routes {
		return scratch
	}
	accepts := acceptClass(r.Header)
	route, at := appendRoute(append(scratch[:0], c.cfg.Label...), r, accepts, c.cfg.Mount)
	ask.Route = string(route)
	ask.Group = ask.Route[:at.group]
	ask.Path = ask.Route[at.path:at.query] // reports show it
	ask.Long = c.cfg.Lanes && (c.IsLongPoll(r) || accepts == acceptsStream || prefersToWait(r.Header["Prefer"]))
	return route
}

// SetUpgrade marks a request that asks for another protocol, and is known to be long by that.
func (c *Classifier) SetUpgrade(ask *admission.Request) {
	ask.Upgrade = c.cfg.Routes && c.cfg.Lanes
	ask.Long = ask.Upgrade
}

// IsLongPoll reports whether r is for a path that a pattern of Config.LongPoll matches.
func (c *Classifier) IsLongPoll(r *http.Request) bool {
	path := r.URL.Path
	below, mounted := strings.CutPrefix(path, c.cfg.Mount)
	mounted = mounted && c.cfg.Mount != "" && strings.HasPrefix(below, "/")
	return slices.ContainsFunc(c.cfg.LongPoll, func(pattern string) bool {
		return cgi.Matches(pattern, path) || mounted && cgi.Matches(pattern, below)
	})
}
