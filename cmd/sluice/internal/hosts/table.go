// Package hosts finds the site that a request is for, by its host and the mount of the site.
//
// What always holds:
//
//   - A name that a site has goes before a pattern, a longer pattern before a shorter one, and any
//     of them before the sites for all other hosts.
//   - Of the sites of a host, the one with the longest mount has the request. A host that has sites
//     never falls back to those of another: a path below none of their mounts is the affair of the
//     one with the shortest, which knows that nothing is there.
package hosts

import (
	"cmp"
	"slices"
	"strings"
)

// Table finds sites. Add them all first; then it may be used concurrently.
type Table[S any] struct {
	names    map[string][]mounted[S]
	patterns map[string][]mounted[S] // by what follows "*."
	others   []mounted[S]
}

// mounted is a site of a host. Those with longer mounts come first.
type mounted[S any] struct {
	mount string // without a final slash
	site  S
}

// Add adds a site for hosts, as the configuration has them; without hosts, it is for all that no
// other site names.
func (t *Table[S]) Add(hosts []string, mount string, site S) {
	if t.names == nil {
		t.names, t.patterns = make(map[string][]mounted[S]), make(map[string][]mounted[S])
	}
	m := mounted[S]{strings.TrimSuffix(mount, "/"), site}
	if len(hosts) == 0 {
		t.others = insert(t.others, m)
	}
	for _, host := range hosts {
		name := canonical(host)
		if pattern, ok := strings.CutPrefix(name, "*."); ok {
			t.patterns[pattern] = insert(t.patterns[pattern], m)
		} else {
			t.names[name] = insert(t.names[name], m)
		}
	}
}

func insert[S any](list []mounted[S], m mounted[S]) []mounted[S] {
	list = append(list, m)
	slices.SortStableFunc(list, func(a, b mounted[S]) int { return cmp.Compare(len(b.mount), len(a.mount)) })
	return list
}

// Find returns the site for a request with that Host field. path returns the path of the request; it
// is called only if the mount matters.
func (t *Table[S]) Find(host string, path func() string) (site S, ok bool) {
	list := t.of(host)
	switch len(list) {
	case 0:
		return site, false
	case 1:
		return list[0].site, true
	}
	p := path()
	for _, m := range list {
		if rest, below := strings.CutPrefix(p, m.mount); below && (rest == "" || rest[0] == '/') {
			return m.site, true
		}
	}
	return list[len(list)-1].site, true
}

// of returns the sites of a host.
func (t *Table[S]) of(host string) []mounted[S] {
	if len(t.names) == 0 && len(t.patterns) == 0 {
		return t.others
	}
	name := canonical(host)
	if list := t.names[name]; list != nil {
		return list
	}
	for len(t.patterns) > 0 {
		_, above, more := strings.Cut(name, ".")
		if !more {
			break
		}
		if list := t.patterns[above]; list != nil {
			return list
		}
		name = above
	}
	return t.others
}

// canonical returns a host in lower case, without its port, brackets and a final dot.
func canonical(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') && (host[0] == '[' || strings.IndexByte(host, ':') == i) {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
