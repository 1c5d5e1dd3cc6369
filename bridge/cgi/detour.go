package cgi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// detour leads from the paths that a pattern matches to somewhere else.
type detour struct {
	text    string
	host    string // in lower case and without a port; "": any
	from    pattern
	status  int    // of a redirect
	origin  string // "https://example.org", "" if it leads to a path of the same host
	path    template
	query   template
	anchor  string // "#part"
	noQuery bool   // the client's query is dropped
}

// detours are the redirects, or the rewrites, of a Mapper. The first one that matches counts.
type detours []detour

// find returns the first one that matches.
func (list detours) find(host func() string, p string) (*detour, stars) {
	for i := range list {
		d := &list[i]
		found, ok := d.from.match(p)
		if ok && (d.host == "" || d.host == host()) {
			return d, found
		}
	}
	return nil, stars{}
}

// apply returns the path and the query that a rule leads to.
func (d *detour) apply(found *stars, query string) (p, q string) {
	p = d.path.expand(found, 0, asIs)
	q = d.query.expand(found, d.path.stars(), url.QueryEscape)
	if !d.noQuery {
		q = joinQueries(q, query)
	}
	return p, q
}

// place is what a request asks for, after the rewrites.
type place struct {
	path      string
	query     string
	rewritten bool
}

// locate returns where a request leads to. The error is the answer: the target is malformed, hidden
// or redirected.
//
// What a web server asks for in FastCGI or SCGI has been through the rules of that server.
func (m *Mapper) locate(r *http.Request) (at place, err error) {
	p, err := CleanPath(r)
	if err != nil {
		return place{}, err
	}
	at = place{path: p, query: r.URL.RawQuery}
	if len(m.redirects) == 0 && len(m.rewrites) == 0 || ReceivedOf(r) != nil {
		return at, nil
	}
	if m.hides(p) {
		return place{}, notFound("path %.200q is hidden", p)
	}
	host := func() string { return hostOf(r.Host) }
	if d, found := m.redirects.find(host, p); d != nil {
		return place{}, d.redirect(&found, r)
	}
	if d, found := m.rewrites.find(host, p); d != nil {
		at.path, at.query = d.apply(&found, at.query)
		at.rewritten = true
		if climbs(at.path) {
			return place{}, badRequest("path %.200q climbs above \"/\" after the rewrite %q", p, d.text)
		}
		at.path = withoutDots(at.path)
	}
	return at, nil
}

// withoutDots removes dot segments, which a star may have completed: "/x/.*".
func withoutDots(p string) string {
	if !hasDotSegment(p) {
		return p
	}
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// Guarded reports whether an authorizer is asked about r: about the path that the client has
// asked for, or one that it leads to.
func (m *Mapper) Guarded(g *Guard, r *http.Request) bool {
	if g.Has(r) {
		return true
	}
	if len(m.rewrites) > 0 {
		if at, err := m.locate(r); err == nil && at.rewritten && g.has(at.path) {
			return true
		}
	}
	if p, err := CleanPath(r); g.all || err != nil || g.except.Has(p) {
		return false // all is but what is in except, whatever script answers there
	}
	return slices.ContainsFunc(m.OtherPaths(r), g.has)
}

// redirect is the answer to a request that is led elsewhere.
func (d *detour) redirect(found *stars, request *http.Request) *RequestError {
	p, q := d.apply(found, request.URL.RawQuery)
	if d.origin == "" {
		p = strippedPrefix(request) + p
	}
	return &RequestError{
		Status: d.status, Location: d.location(p, q),
		Reason: fmt.Sprintf("path %.200q is redirected by %q", request.URL.Path, d.text),
	}
}

// location is ready for the header. "//host" would be another host: a path of several slashes is one
// that a client has made up.
func (d *detour) location(p, query string) string {
	if strings.HasPrefix(p, "//") {
		p = "/" + strings.TrimLeft(p, "/")
	}
	u := url.URL{Path: p, RawQuery: printable(query)}
	return d.origin + u.RequestURI() + d.anchor
}

// hostOf returns the host of a Host field, in lower case and without a port.
func hostOf(field string) string {
	name, _, _ := splitHost(field)
	return strings.TrimSuffix(strings.ToLower(name), ".")
}

// redirectStatuses are the statuses of answers that lead a client elsewhere at once.
var redirectStatuses = []int{
	http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
}

// newRedirects checks Config.Redirect.
func newRedirects(list []string) (detours, error) {
	all := make(detours, len(list))
	for i, text := range list {
		words := strings.Fields(text)
		if len(words) < 2 || len(words) > 3 {
			return nil, fmt.Errorf("cgi: redirect %q: want FROM TO, or FROM TO STATUS, such as \"/old /new 301\" (write %%20 for a space)", text)
		}
		r, err := newDetour(text, words[0], words[1])
		if err != nil {
			return nil, fmt.Errorf("cgi: redirect %q: %w", text, err)
		}
		r.status = http.StatusFound
		if len(words) == 3 {
			if r.status, err = strconv.Atoi(words[2]); err != nil || !slices.Contains(redirectStatuses, r.status) {
				return nil, fmt.Errorf("cgi: redirect %q: the status is 301 or 308 (for ever), 302, 303 or 307 (for now)", text)
			}
		}
		all[i] = r
	}
	if err := all.check("redirect", nil); err != nil {
		return nil, err
	}
	return all, all.checkLoops("")
}

// newRewrites checks Config.Rewrite.
func newRewrites(mount string, hide Prefixes, redirects detours, list []string) (detours, error) {
	all := make(detours, len(list))
	for i, text := range list {
		words := strings.Fields(text)
		if len(words) != 2 {
			return nil, fmt.Errorf("cgi: rewrite %q: want FROM TO, such as \"/wiki/* /index.php?title=*\" (write %%20 for a space)", text)
		}
		r, err := newDetour(text, words[0], words[1])
		if err != nil {
			return nil, fmt.Errorf("cgi: rewrite %q: %w", text, err)
		}
		switch fixed := r.path[0]; {
		case r.origin != "":
			return nil, fmt.Errorf("cgi: rewrite %q: leads to a URL, and clients are sent there by redirect; want a path", text)
		case r.anchor != "":
			return nil, fmt.Errorf("cgi: rewrite %q: the part behind \"#\" is for clients, and none is sent elsewhere", text)
		case !isMounted(mount, fixed):
			return nil, fmt.Errorf("cgi: rewrite %q: leads out of the mount %q, where nothing is (write \"%s%s\")", text, mount, mount, words[1])
		case r.path.stars() == 0 && hide.Has(fixed):
			return nil, fmt.Errorf("cgi: rewrite %q: leads to what hide has out of reach", text)
		}
		all[i] = r
	}
	return all, all.check("rewrite", redirects)
}

// newDetour parses where a rule leads from and to.
func newDetour(text, from, to string) (d detour, err error) {
	d.text = text
	if rest, hosted := strings.CutPrefix(from, "//"); hosted {
		host, p, slash := strings.Cut(rest, "/")
		if !slash || host == "" || strings.Contains(host, "*") || !IsHost(host) || hostOf(host) != strings.ToLower(host) {
			return d, fmt.Errorf("%q: want a host without a port and a path, such as //www.example.org/*", from)
		}
		d.host, from = strings.ToLower(host), "/"+p
	}
	if from, err = decodedPath(from); err != nil {
		return d, err
	}
	d.from = newPattern(from)
	if err := d.parseTo(to); err != nil {
		return d, err
	}
	switch want, have := d.path.stars()+d.query.stars(), d.from.stars(); {
	case have > maxStars:
		return d, fmt.Errorf("has %d \"*\", want %d at most", have, maxStars)
	case strings.Contains(from, "**"):
		return d, errors.New("has \"**\", and one \"*\" stands for any run of characters")
	case want > have:
		return d, fmt.Errorf("leads to %d \"*\", and comes from %d", want, have)
	}
	return d, nil
}

// decodedPath returns a path as paths are compared.
func decodedPath(text string) (string, error) {
	p, err := url.PathUnescape(text)
	switch {
	case !strings.HasPrefix(text, "/"):
		return "", fmt.Errorf("%q: want a path that begins with \"/\"", text)
	case strings.ContainsAny(text, "?#"):
		return "", fmt.Errorf("%q: paths are compared without their queries", text)
	case err != nil:
		return "", fmt.Errorf("%q: %w", text, err)
	case hasBreak(p) || hasDotSegment(p):
		return "", fmt.Errorf("%q: no path that is compared has dot segments, NUL, CR or LF", text)
	}
	return p, nil
}

// parseTo parses where a rule leads to.
func (d *detour) parseTo(to string) error {
	to, anchor, anchored := strings.Cut(to, "#")
	if anchored {
		d.anchor = "#" + anchor
	}
	p, query, asks := strings.Cut(to, "?")
	d.noQuery = asks && query == ""
	if scheme, rest, isURL := strings.Cut(p, "://"); isURL {
		host, after, _ := strings.Cut(rest, "/")
		if scheme != "http" && scheme != "https" || !IsHost(host) || host == "" || strings.Contains(host, "*") {
			return fmt.Errorf("%q: want a path, or a URL such as https://example.org/*", to)
		}
		d.origin, p = scheme+"://"+host, "/"+after
	}
	if strings.HasPrefix(p, "//") {
		return fmt.Errorf("%q: want a path, or a URL with http:// or https://", to)
	}
	p, err := decodedPath(p)
	if err != nil {
		return err
	}
	for _, text := range []string{query, d.anchor} {
		if printable(strings.TrimPrefix(text, "#")) != strings.TrimPrefix(text, "#") {
			return fmt.Errorf("%q: has characters that URLs have not: write them as %%XX", to)
		}
	}
	if strings.Contains(d.anchor, "*") {
		return fmt.Errorf("%q: a \"*\" behind \"#\" stands for nothing", to)
	}
	d.path, d.query = newTemplate(p), newTemplate(query)
	return nil
}

// check refuses rules that never count, because one before them, or one of others, which come first, matches
// the same paths.
func (list detours) check(key string, others detours) error {
	for i := range list {
		for _, before := range slices.Concat(others, list[:i]) {
			r := &list[i]
			if (before.host == "" || before.host == r.host) && before.from.covers(&r.from) {
				return fmt.Errorf("cgi: %s %q: can match nothing, %q before it matches the same paths (put the more special one first)", key, r.text, before.text)
			}
		}
	}
	return nil
}

// checkLoops refuses redirects that lead a client of a host, "" if it is not known, back to where it
// came from.
func (list detours) checkLoops(host string) error {
	for i := range list {
		first := &list[i]
		at := or(first.host, host)
		p := strings.ReplaceAll(first.from.text, "*", "x")
		seen := []string{p}
		for r, found := list.find(func() string { return at }, p); r != nil; r, found = list.find(func() string { return at }, p) {
			p, _ = r.apply(&found, "")
			if r.origin != "" && (at == "" || hostOf(r.origin[strings.Index(r.origin, "//")+2:]) != at) {
				break
			}
			if slices.Contains(seen, p) {
				return fmt.Errorf("cgi: redirect %q: leads clients round in a circle: %s", first.text, strings.Join(append(seen, p), " -> "))
			}
			if seen = append(seen, p); len(seen) > len(list)+1 {
				return fmt.Errorf("cgi: redirect %q: has no end: %s", first.text, strings.Join(seen, " -> "))
			}
		}
	}
	return nil
}

// CheckRedirects returns an error if redirects lead clients of a host, which c is for, back to where
// they came from.
func (c Config) CheckRedirects(host string) error {
	list, err := newRedirects(c.Redirect)
	if err != nil {
		return err
	}
	return list.checkLoops(hostOf(host))
}
