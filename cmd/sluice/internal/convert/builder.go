package convert

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

// builder makes the configuration of what the translators find.
type builder struct {
	config config.Standalone
	left   tomlfile.Problems
	apps   map[string]*config.NamedApplication // by their backends or command
	hosts  []*host
	main   *host               // what is said outside of hosts, in servers that have that
	shared map[*directive]bool // said for several hosts,
	used   map[*directive]bool // of which one has use for it
	idle   []idle              // of shared ones that a host has no use for: it is said if that is so for all
	tls    serverTLS
	acme   acme
}

// host is one virtual host: the sites that it is to have, and what is said about paths of it.
type host struct {
	names  []string
	d      *directive // where it begins
	sites  map[string]*config.HostedSite
	order  []string // of the mounts
	rules  []pathRule
	root   string
	rootAt *directive // of the root, if that is said for all hosts
	index  []string
	users  string // the file of names and passwords, in servers that say it apart
	tls    hostTLS
	whole  bool // what is said for all hosts is in it already
}

// pathRule is a setting for the site that has a path; for all sites if path is "".
type pathRule struct {
	path  string
	d     *directive
	apply func(*config.HostedSite)
	below bool // for the sites below the path as well
}

// idle is a directive that a host has no use for.
type idle struct {
	d   *directive
	why string
}

func newBuilder(left tomlfile.Problems) *builder {
	return &builder{left: left, apps: make(map[string]*config.NamedApplication), used: make(map[*directive]bool)}
}

// leave records that a directive is not carried over.
func (b *builder) leave(d *directive, why string) {
	p := d.problem("%s: %s", d, why)
	if !slices.ContainsFunc(b.left, func(other *tomlfile.Problem) bool { return *other == *p }) {
		b.left = append(b.left, p)
	}
}

// listen adds a port that clients connect to, ":80".
func (b *builder) listen(addr string) {
	if !slices.Contains(b.config.Server.Listen, addr) {
		b.config.Server.Listen = append(b.config.Server.Listen, addr)
	}
}

// leaveUnused records that a host has no use for a directive; of one for several hosts, if none of them has.
func (b *builder) leaveUnused(d *directive, why string) {
	if b.shared[d] {
		b.idle = append(b.idle, idle{d, why})
	} else {
		b.leave(d, why)
	}
}

// host returns the virtual host with those names; without any, the one for all others.
func (b *builder) host(d *directive, names []string) *host {
	names = canonical(names)
	for _, h := range b.hosts {
		if slices.Equal(h.names, names) {
			return h
		}
	}
	h := &host{names: names, d: d, sites: make(map[string]*config.HostedSite)}
	b.hosts = append(b.hosts, h)
	return h
}

func canonical(names []string) (list []string) {
	for _, name := range names {
		if name = config.CanonicalHost(name); name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// application returns the application with those backends, or that command.
func (b *builder) application(backends, command []string) *config.NamedApplication {
	from := strings.Join(backends, "")
	if len(command) > 0 {
		from = command[0]
	}
	return b.applicationCalled(from, backends, command)
}

// applicationCalled is application, with a name made of a path or an address if it is new.
func (b *builder) applicationCalled(from string, backends, command []string) *config.NamedApplication {
	return b.applicationApart("", from, backends, command)
}

// applicationApart is applicationCalled, and another application for each way of running it.
func (b *builder) applicationApart(way, from string, backends, command []string) *config.NamedApplication {
	key := strings.Join(append(slices.Clone(backends), command...), "\x00") + "\x00\x00" + way
	if app := b.apps[key]; app != nil {
		return app
	}
	app := &config.NamedApplication{}
	app.Backends = backends
	if len(command) > 0 {
		app.Spawn = &config.Spawn{Command: command}
	}
	app.Name = b.unusedName(from)
	b.apps[key] = app
	b.config.Applications = append(b.config.Applications, app)
	return app
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// unusedName is a name for an application that is at an address, or a command.
func (b *builder) unusedName(from string) string {
	_, after, isURL := strings.Cut(from, "://")
	if isURL {
		from = after
	}
	name := strings.TrimSuffix(strings.TrimSuffix(path.Base(from), ".sock"), ".socket")
	name = strings.Trim(notInNames.ReplaceAllString(name, "-"), "-._")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = strings.TrimSuffix("app-"+name, "-")
	}
	name = name[:min(len(name), 48)]
	taken := func(name string) bool {
		return slices.ContainsFunc(b.config.Applications, func(a *config.NamedApplication) bool { return a.Name == name })
	}
	unused := name
	for i := 2; taken(unused); i++ {
		unused = name + "-" + strconv.Itoa(i)
	}
	return unused
}

// site returns the site of a host at a mount, "" or "/trac", which is made if there is none. It is the
// application's from then on.
func (b *builder) site(h *host, d *directive, mount string, app *config.NamedApplication, preset config.Preset) *config.HostedSite {
	mount = strings.TrimSuffix(mount, "/")
	if app.Preset != "" && app.Preset != preset {
		b.leave(d, "the application "+app.Name+" is asked as preset "+string(app.Preset)+" elsewhere, and can be only one")
	} else {
		app.Preset = preset
	}
	s := h.sites[mount]
	switch {
	case s == nil:
		s = &config.HostedSite{Hosts: h.names, Uses: app.Name}
		s.Mount = mount
		h.sites[mount] = s
		h.order = append(h.order, mount)
	case s.Uses != app.Name:
		b.leave(d, "the application "+s.Uses+" is at "+cmp.Or(mount, "/")+" already")
	}
	return s
}

// at says something about a path of a host, when all of its sites are known.
func (h *host) at(path string, d *directive, apply func(*config.HostedSite)) {
	h.rules = append(h.rules, pathRule{path: "/" + strings.Trim(path, "/"), d: d, apply: apply})
}

// below says something about a path of a host, and about the sites below it.
func (h *host) below(path string, d *directive, apply func(*config.HostedSite)) {
	h.rules = append(h.rules, pathRule{path: "/" + strings.Trim(path, "/"), d: d, apply: apply, below: true})
}

// everywhere says something about all sites of a host.
func (h *host) everywhere(d *directive, apply func(*config.HostedSite)) {
	h.rules = append(h.rules, pathRule{d: d, apply: apply})
}

// joined leaves out sites whose application also has what is around them: paths of it about which
// something else is said.
func (h *host) joined() {
	h.order = slices.DeleteFunc(h.order, func(mount string) bool {
		if mount == "" {
			return false
		}
		s := h.sites[mount]
		delete(h.sites, mount)
		if around := h.siteOf(mount); around != nil && around.Uses == s.Uses && s.Root == "" {
			return true
		}
		h.sites[mount] = s
		return false
	})
}

// add appends a text to a list, once.
func add(list *[]string, text string) {
	if !slices.Contains(*list, text) {
		*list = append(*list, text)
	}
}

// siteOf is the site of a host that has a path.
func (h *host) siteOf(path string) *config.HostedSite {
	best := ""
	for mount := range h.sites {
		if (path == mount || strings.HasPrefix(path, mount+"/")) && len(mount) >= len(best) {
			best = mount
		}
	}
	return h.sites[best]
}

// sitesOf are the sites that a rule is about.
func (h *host) sitesOf(r pathRule) (sites []*config.HostedSite) {
	around := h.siteOf(r.path)
	for _, mount := range h.order {
		if s := h.sites[mount]; r.path == "" || s == around || r.below && isIn(mount, r.path) {
			sites = append(sites, s)
		}
	}
	return sites
}

// complete makes the sites of the hosts.
func (b *builder) complete() {
	b.completeServerTLS()
	var others []*host
	for _, h := range b.hosts {
		if len(h.sites) == 0 && h == b.main && h.root == "" && len(h.rules) == 0 {
			continue
		}
		if len(h.sites) == 0 {
			others = append(others, h)
			continue
		}
		h.joined()
		if h.sites[""] == nil && h.root != "" {
			b.leave(h.place(), "the files below "+h.root+" are not served: no application is at /, and Sluice serves files beside one")
		}
		for _, r := range h.rules {
			sites := h.sitesOf(r)
			if len(sites) == 0 {
				b.leaveUnused(r.d, "no application is there, and Sluice has rules beside one")
			}
			for _, s := range sites {
				b.used[r.d] = true
				r.apply(s)
			}
		}
		for _, mount := range h.order {
			s := h.sites[mount]
			if b.presetOf(s) != config.PresetApp {
				s.Root = strings.TrimSuffix(cmp.Or(s.Root, h.root), "/")
				switch index := usefulIndex(h.index); {
				case b.presetOf(s) == config.PresetPHP && len(s.Index) == 0:
					s.Index = indexOfPHP(h.index)
				case b.presetOf(s) == config.PresetCGI && s.Fallback == "" && len(index) > 0 && !strings.Contains(index[0], ".htm"):
					s.Fallback = "/" + index[0]
				}
			}
			if slices.Contains(s.Auth.Paths, everyPath) {
				s.Auth.Paths = nil
			}
			b.config.Sites = append(b.config.Sites, s)
		}
		b.completeTLS(&h.tls, b.config.Sites[len(b.config.Sites)-len(h.order):])
	}
	// A host is led elsewhere with and without TLS in different places; those with it have its certificate.
	slices.SortStableFunc(others, func(x, y *host) int { return cmp.Compare(rank(x), rank(y)) })
	for _, h := range others {
		b.redirectOnly(h)
	}
	for _, i := range b.idle {
		if !b.used[i.d] {
			b.leave(i.d, i.why)
			b.used[i.d] = true
		}
	}
	for _, a := range b.config.Applications {
		if a.Preset == config.PresetApp {
			a.Preset = "" // the default
		}
	}
}

// everyPath stands among auth.paths for all of them, until the site is complete: other paths take nothing away
// from it.
const everyPath = "/"

// login has what is below a path require log-in, "" or "/" for all of a site.
func login(s *config.HostedSite, file, path string) {
	s.Auth.File = file
	if path == "" || path == s.Mount {
		path = everyPath
	}
	add(&s.Auth.Paths, path)
}

func (b *builder) named(name string) *config.NamedApplication {
	i := slices.IndexFunc(b.config.Applications, func(a *config.NamedApplication) bool { return a.Name == name })
	return b.config.Applications[i]
}

// usefulIndex is the list of files that serve directories, unless it is as Sluice has it.
func usefulIndex(list []string) []string {
	list = slices.DeleteFunc(slices.Clone(list), func(name string) bool { return strings.ContainsAny(name, "/$") })
	if slices.Equal(list, []string{"index.php"}) || slices.Equal(list, []string{"index.php", "index.html"}) {
		return nil
	}
	return list
}

// indexOfPHP is usefulIndex without what is neither run nor sent beside PHP, with which Sluice would not start.
func indexOfPHP(list []string) []string {
	return usefulIndex(slices.DeleteFunc(slices.Clone(list), func(name string) bool {
		return !slices.Contains([]string{".php", ".html", ".htm"}, path.Ext(name))
	}))
}

func (b *builder) presetOf(s *config.HostedSite) config.Preset {
	for _, a := range b.config.Applications {
		if a.Name == s.Uses {
			return a.Preset
		}
	}
	return ""
}

// rank is 0 of hosts with TLS, 1 of others.
func rank(h *host) int {
	if h.tls.secure {
		return 0
	}
	return 1
}

// securely reports whether a site that does not name a host leads clients without TLS to it, by a pattern or because
// it is for all other hosts.
func (b *builder) securely(name string) bool {
	return slices.ContainsFunc(b.config.Sites, func(s *config.HostedSite) bool {
		fits := len(s.Hosts) == 0 || slices.ContainsFunc(s.Hosts, func(pattern string) bool {
			return strings.HasPrefix(pattern, "*.") && strings.HasSuffix(name, pattern[1:])
		})
		return fits && s.TLS.Redirect != config.Off
	})
}

// siteFor is the site that names a host, nil if there is none.
func (b *builder) siteFor(name string) *config.HostedSite {
	for _, s := range b.config.Sites {
		if slices.Contains(s.Hosts, name) {
			return s
		}
	}
	return nil
}

// redirectOnly is a host without an application. What leads its clients elsewhere is a site; the
// application that it names is never asked. Names that other sites have are theirs.
func (b *builder) redirectOnly(h *host) {
	var names []string
	var taken []*config.HostedSite
	for _, name := range h.names {
		if s := b.siteFor(name); s != nil {
			taken = append(taken, s)
		} else {
			names = append(names, name)
		}
	}
	s := &config.HostedSite{Hosts: names, Uses: b.config.Applications[0].Name}
	for _, r := range h.rules {
		before := len(s.Redirect)
		if r.apply(s); len(s.Redirect) == before {
			b.leaveUnused(r.d, "no application is there, and Sluice has rules beside one")
			continue
		}
		b.used[r.d] = true
		for _, other := range taken {
			if !leadsAlike(other, s.Redirect[before:]) {
				b.leave(r.d, "not for "+strings.Join(other.Hosts, ", ")+", which is served")
			}
		}
	}
	led, others := divided(names, s.Redirect)
	if len(led) > 0 {
		redirects := s.Redirect
		*s = config.HostedSite{Hosts: led, Uses: s.Uses}
		s.Redirect = redirects
		if b.presetOf(s) != config.PresetApp {
			s.Root = b.anyRoot(s.Uses)
		}
		b.config.Sites = append(b.config.Sites, s)
		b.completeTLS(&hostTLS{plain: h.tls.plain, secure: h.tls.secure, certificates: h.tls.certificates, keys: h.tls.keys, hsts: h.tls.hsts}, []*config.HostedSite{s})
	}
	if len(h.tls.toHTTPS) > 0 {
		others = slices.DeleteFunc(others, b.securely)
	}
	switch d := h.place(); {
	case len(others) > 0 && len(h.tls.toHTTPS) > 0:
		b.leave(d, "no application is at "+strings.Join(others, ", ")+" with TLS")
	case len(others) == 0 && len(h.names) > 0, len(h.tls.toHTTPS) > 0:
	case d.at.Line > 0: // else each of its rules is left
		b.leave(d, "no application is behind it, and Sluice serves files and rules beside one")
	}
}

// divided are the names that redirects lead elsewhere whatever the path, and the others.
func divided(names, redirects []string) (led, others []string) {
	for _, name := range names {
		if slices.ContainsFunc(redirects, func(rule string) bool {
			return strings.HasPrefix(rule, "/* ") || strings.HasPrefix(rule, "//"+name+"/* ")
		}) {
			led = append(led, name)
		} else {
			others = append(others, name)
		}
	}
	return led, others
}

// leadsAlike reports whether a site has redirects to where others lead, or is one of their targets.
func leadsAlike(s *config.HostedSite, others []string) bool {
	return !slices.ContainsFunc(others, func(rule string) bool {
		_, to, _ := strings.Cut(rule, " ")
		target, _, _ := strings.Cut(strings.TrimPrefix(to, httpsScheme), "/")
		return !slices.Contains(s.Hosts, target) && !slices.ContainsFunc(s.Redirect, func(own string) bool { _, ownTo, _ := strings.Cut(own, " "); return ownTo == to })
	})
}

// place is where a host begins; of the main one, where its root is said.
func (h *host) place() *directive {
	if h.d.at.Line == 0 && h.rootAt != nil {
		return h.rootAt
	}
	return h.d
}

// anyRoot is a root of an application's other sites, for a site on which nothing is looked up.
func (b *builder) anyRoot(app string) string {
	for _, h := range b.hosts {
		for _, s := range h.sites {
			if s.Uses == app && cmp.Or(s.Root, h.root) != "" {
				return cmp.Or(s.Root, h.root)
			}
		}
	}
	return ""
}

// seconds are a time in the way of a setting, of texts such as 90, 90s, 2m, 1h and 500ms.
func seconds(text string) (config.Duration, bool) {
	if text != "" && strings.Trim(text, "0123456789") == "" {
		text += "s"
	}
	var d config.Duration
	err := d.UnmarshalText([]byte(text))
	return d, err == nil && d > 0
}

// bytesOf are a size, of texts such as 10m, 512K and 1g.
func bytesOf(text string) (int64, bool) {
	number := strings.TrimRight(strings.ToLower(text), "kmgibt")
	n, err := strconv.ParseInt(number, 10, 64)
	unit := strings.ToLower(text)[len(number):]
	shift := map[string]uint{"": 0, "b": 0, "k": 10, "kb": 10, "kib": 10, "m": 20, "mb": 20, "mib": 20, "g": 30, "gb": 30, "gib": 30}
	by, ok := shift[unit]
	if err != nil || !ok || n < 0 || n > 1<<40>>by {
		return 0, false
	}
	return n << by, true
}
