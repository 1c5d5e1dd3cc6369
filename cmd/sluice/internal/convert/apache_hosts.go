package convert

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// A virtual host of Apache begins with what the main server has, which is what stands outside of virtual hosts, wherever
// in the file. How the two are merged is each module's own: see apacheReplaced, apacheFirst and rewrites.

// apacheReplaced are directives of which those of the host, or of its section, take the place of the main server's.
// Those with the same value do so together.
var apacheReplaced = map[string]string{
	"documentroot": "documentroot", "directoryindex": "directoryindex", "fallbackresource": "fallbackresource", "limitrequestbody": "limitrequestbody",
	"timeout": "timeout", "proxytimeout": "proxytimeout", "fcgidiotimeout": "fcgidiotimeout", "fcgidmaxrequestlen": "fcgidmaxrequestlen",
	"fcgidmaxrequestsperprocess": "fcgidmaxrequestsperprocess", "fcgidmaxprocessesperclass": "fcgidmaxprocessesperclass",
	"sethandler": "sethandler", "authuserfile": "authuserfile", "authname": "authname", "require": "require", "allowoverride": "allowoverride",
	"wsgiprocessgroup": "wsgiprocessgroup", "remoteiptrustedproxy": "remoteip", "remoteipinternalproxy": "remoteip",
}

// apacheFirst are directives of which the first that matches a path counts, and the host's come before the main
// server's. Of ProxyPass, too, the first counts, but the main server's come first.
var apacheFirst = wordSet(`alias aliasmatch scriptalias scriptaliasmatch redirect redirectmatch redirectpermanent redirecttemp wsgiscriptalias wsgiscriptaliasmatch`)

// ofServer reports directives that virtual hosts do not take over, and those about TLS, which hostTLS.inherit merges.
func ofServer(d *directive) bool {
	name := strings.ToLower(d.name)
	return slices.Contains([]string{"listen", "servername", "serveralias", "protocols", "header", "remoteipproxyprotocol", "remoteipproxyprotocolexceptions"}, name) ||
		strings.HasPrefix(name, "ssl")
}

// apart divides a file into what the main server has, but for what needs nothing in Sluice, and the virtual hosts.
func apart(all []*directive) (main, virtual []*directive) {
	for _, d := range all {
		switch name := strings.ToLower(d.name); {
		case name == "virtualhost":
			virtual = append(virtual, d)
		case d.open || !apacheNeedless[name] || isRewrite(d):
			main = append(main, d)
		}
	}
	return main, virtual
}

// merged is what a host has, or a section of it, of the main server's directives and its own.
func merged(base, own []*directive, isSection bool) (all []*directive) {
	has := func(group string) bool {
		return slices.ContainsFunc(own, func(d *directive) bool { return apacheReplaced[strings.ToLower(d.name)] == group })
	}
	before, after := rewrites(base, own, isSection)
	for _, d := range base {
		group := apacheReplaced[strings.ToLower(d.name)]
		switch name := strings.ToLower(d.name); {
		case isRewrite(d), ofServer(d) && !isSection, group != "" && has(group):
		case d.open && sectionOf(own, d) != nil: // merged with that
		case apacheFirst[name]:
			after = append(after, d)
		default:
			before = append(before, d)
		}
	}
	seen := map[*directive]bool{}
	for _, d := range own {
		if other := sectionOf(base, d); d.open && other != nil && !seen[other] {
			seen[other] = true
			both := *d
			both.block = merged(other.block, d.block, true)
			d = &both
		}
		before = append(before, d)
	}
	return append(before, after...)
}

// sectionOf is the section among others that is about the same.
func sectionOf(all []*directive, d *directive) *directive {
	i := slices.IndexFunc(all, func(other *directive) bool {
		return d.open && other.open && strings.EqualFold(d.name, other.name) && slices.Equal(d.args, other.args)
	})
	if i < 0 {
		return nil
	}
	return all[i]
}

func isRewrite(d *directive) bool {
	return strings.HasPrefix(strings.ToLower(d.name), "rewrite")
}

// rewrites are the rules of the main server that a host runs before its own and after them: none, unless
// RewriteOptions says so. A section without any directive of mod_rewrite has those of the same section there.
func rewrites(base, own []*directive, isSection bool) (before, after []*directive) {
	rules := slices.DeleteFunc(slices.Clone(base), func(d *directive) bool { return !isRewrite(d) })
	has := func(all []*directive, option string) bool {
		return slices.ContainsFunc(all, func(d *directive) bool {
			return strings.EqualFold(d.name, "RewriteOptions") && slices.ContainsFunc(d.args, func(a string) bool { return strings.EqualFold(a, option) })
		})
	}
	ignored := has(own, "IgnoreInherit")
	switch {
	case isSection && !slices.ContainsFunc(own, isRewrite):
		return rules, nil
	case has(own, "Inherit"), has(base, "InheritDown") && !ignored:
		return nil, rules
	case has(own, "InheritBefore"), has(base, "InheritDownBefore") && !ignored:
		return rules, nil
	}
	return nil, nil
}

// inOrderOfApache sorts the directives of a host as Apache applies them, so that the last that is said holds: sections
// of directories from the outermost to the innermost, of files, and of URLs. ProxyTimeout and FcgidIOTimeout are
// narrower than Timeout, whichever is said first.
func inOrderOfApache(all []*directive) []*directive {
	rank := func(d *directive) (kind, depth int) {
		switch strings.ToLower(d.name) {
		case "proxytimeout", "fcgidiotimeout":
			return 1, 0
		case "directory":
			return 2, strings.Count(strings.TrimSuffix(d.arg(0), "/"), "/")
		case "directorymatch":
			return 3, 0
		case "files", "filesmatch":
			return 4, 0
		case "location", "locationmatch":
			return 5, 0
		}
		return 0, 0
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(x, y *directive) int {
		xKind, xDepth := rank(x)
		yKind, yDepth := rank(y)
		return cmp.Or(cmp.Compare(xKind, yKind), cmp.Compare(xDepth, yDepth))
	})
	return all
}

// reached leaves out what no request comes to in Apache, of those directives that may be left out: a ProxyPass below the path of one before it, and an alias or
// a redirect below that of a ProxyPass, or an alias or a redirect below another of its kind.
func reached(all []*directive, may func(*directive) bool) (list []*directive) {
	var passed, aliases, programs, redirects []*directive
	below := func(others []*directive, url string) *directive {
		if i := slices.IndexFunc(others, func(o *directive) bool { return isIn(strings.TrimSuffix(url, "/"), o.arg(0)) }); i >= 0 {
			return others[i]
		}
		return nil
	}
	for _, d := range all {
		if strings.EqualFold(d.name, "ProxyPass") && len(d.args) > 1 && below(passed, d.arg(0)) == nil {
			passed = append(passed, d)
		}
	}
	isPassed := func(url string) bool { p := below(passed, url); return p != nil && p.arg(1) != "!" }
	for _, d := range all {
		idle := false
		switch strings.ToLower(d.name) {
		case "proxypass":
			idle = len(d.args) > 1 && !slices.Contains(passed, d)
		case "alias", "scriptalias":
			idle = isPassed(d.arg(0)) || below(aliases, d.arg(0)) != nil
			aliases = append(aliases, d)
		case "wsgiscriptalias":
			idle = isPassed(d.arg(0)) || below(programs, d.arg(0)) != nil
			programs = append(programs, d)
		case "redirect", "redirectpermanent", "redirecttemp":
			if from := d.arg(len(d.args) - 2); from != "" {
				idle = isPassed(from) || below(redirects, from) != nil
				redirects = append(redirects, &directive{args: []string{from}})
			}
		case "redirectmatch":
			idle = isPassed("/") && !slices.ContainsFunc(passed, func(p *directive) bool { return p.arg(1) == "!" })
		}
		if !idle || !may(d) {
			list = append(list, d)
		}
	}
	return list
}

// apacheHost is a host with its virtual hosts: one for each port.
type apacheHost struct {
	*host
	own   []*directive
	leads bool // all of its clients elsewhere
}

// virtualHosts translates the virtual hosts, and the main server if a port is left to it.
func (t *apacheTranslator) virtualHosts(all []*directive) {
	all, virtual := apart(all)
	name, passes := "", []*directive{}
	for _, d := range all {
		switch strings.ToLower(d.name) {
		case "servername":
			name = hostOf(d)
		case "proxypass":
			passes = append(passes, d)
		default:
			if ofServer(d) {
				t.directive(t.main, d, strings.ToLower(d.name), scope{}, all)
			}
		}
		t.share(d)
	}
	isOwn := func(d *directive) bool { return !t.shared[d] }
	var list []*apacheHost
	for i, d := range virtual {
		h := t.host(d, t.names(d, name, i == 0))
		secure := t.addresses(h, d)
		t.markSecure(d.block, secure)
		n := slices.IndexFunc(list, func(other *apacheHost) bool { return other.host == h })
		if n < 0 {
			n, list = len(list), append(list, &apacheHost{host: h, leads: true})
		}
		own := slices.DeleteFunc(reached(slices.Concat(passes, d.block), isOwn), func(d *directive) bool { return t.shared[d] })
		list[n].own = append(list[n].own, own...)
		list[n].leads = list[n].leads && leadsAll(d.block, secure)
	}
	if t.mainIsReached(all, virtual) && !slices.ContainsFunc(list, func(h *apacheHost) bool { return h.host == t.main }) {
		t.ofHost(t.main, reached(slices.DeleteFunc(slices.Clone(all), ofServer), func(*directive) bool { return true }))
		t.main.tls.plain, t.main.tls.secure = len(t.config.Server.Listen) > len(t.secureListen()), len(t.secureListen()) > 0
	}
	for _, h := range list {
		base := all
		if h.leads {
			base = nil
			for _, d := range all {
				if strings.EqualFold(d.name, "ProxyPass") {
					t.leave(d, "not for "+strings.Join(h.names, ", ")+", all of which is led elsewhere")
				}
			}
		}
		h.tls.apart = true
		t.ofHost(h.host, reached(merged(base, h.own, false), func(d *directive) bool { return !isOwn(d) }))
	}
	t.namedOnce(list)
}

// namedOnce leaves a name that several hosts with applications have to the first of them.
func (t *apacheTranslator) namedOnce(list []*apacheHost) {
	owner := map[string]*host{}
	for _, h := range list {
		if len(h.sites) == 0 || len(h.names) == 0 {
			continue
		}
		h.names = slices.DeleteFunc(h.names, func(name string) bool {
			if first := owner[name]; first != nil {
				t.leave(&directive{path: h.d.path, at: h.d.at, name: "<" + h.d.String() + ">"}, name+" has what the virtual host in line "+strconv.Itoa(first.d.at.Line)+" says")
				return true
			}
			owner[name] = h.host
			return false
		})
		for _, s := range h.sites {
			s.Hosts = h.names
		}
		if len(h.names) == 0 {
			t.builder.hosts = slices.DeleteFunc(t.builder.hosts, func(other *host) bool { return other == h.host })
		}
	}
}

// ofHost translates all that a host has.
func (t *apacheTranslator) ofHost(h *host, all []*directive) {
	t.fcgidEnv, t.daemons, t.instances = map[string]string{}, map[string]*directive{}, 0
	t.globals(all)
	t.section(h, inOrderOfApache(all), scope{})
}

// mainIsReached reports whether there is a port for which no virtual host is.
func (t *apacheTranslator) mainIsReached(all, virtual []*directive) bool {
	if len(virtual) == 0 {
		return true
	}
	return slices.ContainsFunc(all, func(d *directive) bool {
		return strings.EqualFold(d.name, "Listen") && !slices.ContainsFunc(virtual, func(v *directive) bool {
			return slices.ContainsFunc(v.args, func(addr string) bool {
				everywhere := strings.HasPrefix(addr, "*") || strings.HasPrefix(addr, "_default_")
				return addr == d.arg(0) || everywhere && (portOf(addr) == "*" || portOf(addr) == portOf(d.arg(0)))
			})
		})
	})
}

// leadsAll reports whether a virtual host leads its clients elsewhere, whatever they ask for.
func leadsAll(block []*directive, secure bool) bool {
	conditional := false
	for _, d := range block {
		switch strings.ToLower(d.name) {
		case "proxypass", "proxypassmatch":
			return false
		case "redirect", "redirectpermanent", "redirecttemp":
			if len(d.args) > 1 && d.arg(len(d.args)-2) == "/" {
				return true
			}
		case "rewritecond":
			ofScheme := slices.Contains([]string{"%{HTTPS}", "%{SERVER_PORT}", "%{SERVER_NAME}", "%{HTTP_HOST}"}, d.arg(0))
			conditional = conditional || secure || !ofScheme
		case "rewriterule":
			if !conditional && slices.Contains(apacheAnything, d.arg(0)) && strings.Contains(d.arg(1), "://") {
				return true
			}
			conditional = false
		}
	}
	return false
}

// names are those of a virtual host; without ServerName it has the main server's, unless it is for all other names
// because it is the first.
func (t *apacheTranslator) names(d *directive, main string, isFirst bool) (names []string) {
	named := false
	for _, c := range d.block {
		switch strings.ToLower(c.name) {
		case "servername":
			names, named = append(names, hostOf(c)), true
		case "serveralias":
			for _, name := range c.args {
				if strings.Contains(strings.TrimPrefix(name, "*."), "*") || strings.Contains(name, "?") {
					t.leave(c, name+": a pattern of host names may only begin with *.")
					continue
				}
				names = append(names, name)
			}
		}
	}
	if !named && main != "" && (!isFirst || len(names) > 0) {
		names = append(names, main)
	}
	return names
}

// hostOf is the name in ServerName https://wiki.example.org:443.
func hostOf(d *directive) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(d.arg(0), "http://"), httpsScheme), ":")
	return name
}

// markSecure notes that directives are for clients with TLS alone.
func (t *apacheTranslator) markSecure(block []*directive, secure bool) {
	for _, d := range block {
		t.secure[d] = secure
		t.markSecure(d.block, secure)
	}
}

// share notes that a directive is for more hosts than one.
func (t *apacheTranslator) share(d *directive) {
	t.shared[d] = true
	for _, c := range d.block {
		t.share(c)
	}
}
