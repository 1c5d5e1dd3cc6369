package tomlfile

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// relations checks what one table says of another.
func (r *reader) relations() {
	f := r.file
	names := r.names()
	none := len(f.Applications) == 0 && r.meant[tableApplication] // nor can there be one that a site names
	switch {
	case none:
	case len(f.Applications) == 0:
		r.errorf(Position{}, "has no [[application]]: name one and say where it is, such as\n\n    [[application]]\n    name = \"wiki\"\n    backends = [\"unix:/run/wiki.sock\"]\n    workers = 16\n\n    [[site]]\n    application = \"wiki\"\n")
	case len(f.Sites) == 0 && !r.meant[tableSite]:
		r.errorf(f.applications[0].at, "there is no [[site]]: nothing leads to the application; add [[site]] with application = %q", names[0])
	}
	used := make(map[string]bool)
	places := make(map[[2]string]int)
	for i, s := range f.Sites {
		if !none {
			r.uses(i, s, names)
		}
		used[s.Uses] = true
		r.places(i, s, places)
	}
	for i, a := range f.Applications {
		if !used[a.Name] && len(f.Sites) > 0 {
			f.Warnings = append(f.Warnings, &Problem{f.Path, f.applications[i].at, "application " + a.Name + ": no site uses it, and it is not started (remove it, or add a [[site]] with application = \"" + a.Name + "\")"})
		}
	}
}

// names checks that each application has a name of its own, and is not another one. It returns the
// names.
func (r *reader) names() (names []string) {
	f := r.file
	identities := make(map[string]int)
	for i, a := range f.Applications {
		if first := slices.Index(names, a.Name); first >= 0 && a.Name != "" {
			r.errorf(f.applications[i].keys["name"], "name: %q is the application in line %d already", a.Name, f.applications[first].at.Line)
		}
		names = append(names, a.Name)
		if len(f.applications[i].wrong) > 0 || len(a.Backends) == 0 && a.Spawn == nil {
			continue
		}
		if first, twice := identities[a.Identity()]; twice {
			r.problems = append(r.problems, f.applications[i].problem(f.Path, config.Twice(&a.Application, f.Applications[first].Name)))
		} else {
			identities[a.Identity()] = i
		}
	}
	return names
}

// uses checks the application of a site.
func (r *reader) uses(i int, s *config.HostedSite, names []string) {
	loc := r.file.sites[i]
	at, isNamed := loc.keys["application"]
	switch {
	case !isNamed && len(names) == 1:
		s.Uses = names[0]
	case !isNamed && len(names) > 1:
		r.errorf(loc.at, "application: none given, and there are several: want one of %s", strings.Join(names, ", "))
	case !isNamed, loc.wrong["application"], slices.Contains(names, s.Uses):
	default:
		if best := config.Nearest(s.Uses, names, nil); best != "" {
			r.errorf(at, "application: there is no %q, did you mean %q?", s.Uses, best)
			return
		}
		r.errorf(at, "application: there is no %q: want one of %s", s.Uses, cmp.Or(strings.Join(names, ", "), "those of [[application]]"))
	}
}

// places checks that no other site has a host and mount of s.
func (r *reader) places(i int, s *config.HostedSite, places map[[2]string]int) {
	loc := r.file.sites[i]
	if loc.wrong["hosts"] || loc.wrong["mount"] {
		return
	}
	hosts := s.Hosts
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	for _, host := range hosts {
		place := [2]string{config.CanonicalHost(host), strings.TrimSuffix(s.Mount, "/")}
		first, twice := places[place]
		if !twice {
			places[place] = i
			continue
		}
		at, ok := loc.keys["hosts"]
		if !ok {
			at = loc.at
		}
		what := "all hosts that no site names"
		if host != "" {
			what = host
		}
		if s.Mount != "" {
			what += " at " + s.Mount
		}
		if first == i {
			r.errorf(at, "hosts: %s is named twice", host)
			continue
		}
		r.errorf(at, "hosts: %s is the site in line %d already: give one of them another host or mount", what, r.file.sites[first].at.Line)
	}
}
