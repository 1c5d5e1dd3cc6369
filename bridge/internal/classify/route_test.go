package classify

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// requestFor returns a request for a target. header has names and values in turn.
func requestFor(t testing.TB, method, target string, header ...string) *http.Request {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Method: method, URL: u, Header: make(http.Header), RequestURI: target, RemoteAddr: "192.0.2.7:40000"}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func routeOf(r *http.Request, mount string) (route []byte, group int) {
	route, at := appendRoute(nil, r, acceptClass(r.Header), mount)
	return route, at.group
}

const (
	acceptOfPage   = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	acceptOfImage  = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
	acceptOfJQuery = "application/json, text/javascript, */*; q=0.01"
)

func TestRoute(t *testing.T) {
	for _, c := range []struct {
		method, target string
		header         []string
		group, rest    string
	}{
		{"GET", "/wiki/Start?version=3&action=diff", []string{"Accept", acceptOfPage, "X-Requested-With", "XMLHttpRequest"}, "GET html xhr /wiki", "/Start?action,version"},
		{"", "/", nil, "GET any /", ""},
		{"POST", "/", []string{"Accept", "*/*"}, "POST any /", ""},
		// Pages at the top are one group.
		{"HEAD", "/a", []string{"Accept", acceptOfImage}, "HEAD image /", "a"},
		{"PROPFIND", "/svn/trunk", []string{"Accept", "text/xml"}, "OTHER other /svn", "/trunk"},
		{"GET", "/events", []string{"Accept", "text/event-stream", "Sec-Fetch-Mode", "cors"}, "GET stream xhr /", "events"},
		{"GET", "/api", []string{"Accept", acceptOfJQuery, "Sec-Fetch-Dest", "empty"}, "GET json xhr /", "api"},
		{"GET", "/api", []string{"Accept", "application/vnd.api+json"}, "GET json /", "api"},
		{"GET", "/app", []string{"X-Requested-With", "org.example.app", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, "GET any /", "app"},

		{"GET", "/ticket/4711", nil, "GET any /ticket", "/*"},
		{"GET", "/ticket/4711.csv", nil, "GET any /ticket", "/*.csv"},
		{"GET", "/2024-02-29/1.2.3/12,34:5", nil, "GET any /*", "/*/*"},
		{"GET", "/u/123e4567-e89b-12d3-a456-426614174000/x", nil, "GET any /u", "/*/x"},
		{"GET", "/commit/9fceb02d0ae598e95dc970b74767f19372d61af8", nil, "GET any /commit", "/*"},
		{"GET", "/commit/9fceb02/deadbeef/cafe1234", nil, "GET any /commit", "/*/*/*"},
		{"GET", "/s/Zm9vYmFyYmF6cXV4MTIzNA==/x", nil, "GET any /s", "/*/x"},
		{"GET", "/wiki/InstallationOnDebian", nil, "GET any /wiki", "/InstallationOnDebian"},
		{"GET", "/wiki/Caf%C3%A9%20au%20lait", nil, "GET any /wiki", "/Café au lait"},
		{"GET", "/wiki/" + strings.Repeat("ab ", maxSegment/3), nil, "GET any /wiki", "/*"},
		{"GET", "/wiki/" + strings.Repeat("x", maxSegment+1), nil, "GET any /wiki", "/*"},
		{"GET", "/a/b%3Fsecret=1/c", nil, "GET any /a", "/*/c"},
		{"GET", "/app/page;jsessionid=0123456789?x=1", nil, "GET any /app", "/page;*?x"},
		{"GET", "//a///b/", nil, "GET any /a", "/b"},
		{"GET", "/a/b/c/d/e/f/g/h", nil, "GET any /a", "/b/c/d/e/f/g/h"},
		{"GET", "/a/b/c/d/e/f/g/h/i/j", nil, "GET any /a", "/b/c/d/e/f/g/h/**"},

		{"GET", "/x?b=1&a=2&b=3&c=", nil, "GET any /", "x?a,b,c"},
		{"GET", "/gitweb?p=sluice.git;a=log;h=HEAD", nil, "GET any /", "gitweb?a,h,p"},
		{"GET", "/x?smith", nil, "GET any /", "x?*"},
		{"GET", "/x?&a=1&", nil, "GET any /", "x?*,a"},
		{"GET", "/x?item12=on&item7=on&sel[4]=1&sel[5]=2&1234=5", nil, "GET any /", "x?*,item*,sel*"},
		{"GET", "/x?" + strings.Repeat("n", maxName+1) + "=1&na%6De=2&a+b=3", nil, "GET any /", "x?*"},
		{"GET", "/x?h=1&g=2&f=3&e=4&d=5&c=6&b=7&a=8", nil, "GET any /", "x?a,b,c,d,e,f,g,h"},
		{"GET", "/x?i=0&h=1&g=2&f=3&e=4&d=5&c=6&b=7&a=8", nil, "GET any /", "x?a,b,c,d,e,f,g,h,**"},
		{"GET", "/x?a=8&b=7&c=6&d=5&e=4&f=3&g=2&h=1&i=0", nil, "GET any /", "x?a,b,c,d,e,f,g,h,**"},
	} {
		r := requestFor(t, c.method, c.target, c.header...)
		route, n := routeOf(r, "")
		if string(route[:n]) != c.group || string(route[n:]) != c.rest {
			t.Errorf("%s %s %q: %q and %q, want %q and %q", c.method, c.target, c.header, route[:n], route[n:], c.group, c.rest)
		}
	}
}

// The group ends below the mount.
func TestRouteBelowMount(t *testing.T) {
	for target, want := range map[string][2]string{
		"/trac/proj?x=1":        {"GET any /trac/proj/", "?x"},
		"/trac/proj/wiki/Start": {"GET any /trac/proj/wiki", "/Start"},
		"/trac/proj":            {"GET any /trac/proj/", ""},
		"/trac/proj/login":      {"GET any /trac/proj/", "login"},
		"/trac/project/wiki":    {"GET any /trac", "/project/wiki"},
	} {
		route, n := routeOf(requestFor(t, "GET", target), "/trac/proj")
		if string(route[:n]) != want[0] || string(route[n:]) != want[1] {
			t.Errorf("%s: %q and %q, want %q and %q", target, route[:n], route[n:], want[0], want[1])
		}
	}
}

// The order of the query does not matter, unless the query has more parts than are read.
func TestRouteKnowsNoOrder(t *testing.T) {
	want := ""
	for i := range 20 {
		var parts []string
		for j := range 20 {
			parts = append(parts, string(rune('a'+(i+j)%20))+"=1")
		}
		route, _ := routeOf(requestFor(t, "GET", "/x?"+strings.Join(parts, "&")), "")
		if want == "" {
			want = string(route)
		}
		if string(route) != want {
			t.Errorf("%q, want %q", route, want)
		}
	}
}

// TestHugeRequest: no request of 64 KiB makes a long route.
func TestHugeRequest(t *testing.T) {
	for name, target := range map[string]string{
		"segments": "/" + strings.Repeat("abc/", 15000),
		"segment":  "/" + strings.Repeat("a", 60000),
		"parts":    "/?" + strings.Repeat("a=1&", 15000),
		"name":     "/?" + strings.Repeat("a", 60000) + "=1",
		"empty":    "/?" + strings.Repeat("&", 60000),
	} {
		route, n := routeOf(requestFor(t, "GET", target), "")
		if len(route) > maxRoute || n > len(route) {
			t.Errorf("%s: a route of %d bytes: %q", name, len(route), route)
		}
	}
}

func FuzzRoute(f *testing.F) {
	f.Add("GET", "/wiki/Start", "action=diff&version=3", acceptOfPage, "XMLHttpRequest")
	f.Add("GET", "//a/123e4567-e89b-12d3-a456-426614174000/..;x=1/4711.csv", "p=a.git;a=log", "*/*", "")
	f.Add("BREW", "", "&&==;;[1]=2&a[3]=4&item12=5&%61=6&smith", "text/event-stream", "")
	f.Add("POST", "\x00\xff?*", strings.Repeat("x1=&", 100), "", "")
	f.Fuzz(func(t *testing.T, method, path, query, accept, requestedWith string) {
		r := &http.Request{
			Method: method, URL: &url.URL{Path: path, RawQuery: query},
			Header: http.Header{"Accept": {accept}, "X-Requested-With": {requestedWith}},
		}
		route, at := appendRoute([]byte("kept"), r, acceptClass(r.Header), "/mount")
		n := at.group
		route, kept := bytes.CutPrefix(route, []byte("kept"))
		n -= len("kept")
		if !kept || n < 1 || n > len(route) || len(route) > maxRoute+len("/mount") {
			t.Fatalf("group of %d bytes in %q", n, route)
		}
		if i := bytes.IndexByte(route, '?'); i >= 0 && i < n || bytes.ContainsAny(route, "\x00\r\n") {
			t.Errorf("group %q of %q", route[:n], route)
		}

		// The values do not change the route.
		r.URL.RawQuery = withoutValues(query)
		if other, _ := routeOf(r, "/mount"); !bytes.Equal(other, route) {
			t.Errorf("%q with values %q, and %q without", query, route, other)
		}
		again, m := routeOf(r, "/mount")
		if n != m || !bytes.Equal(again[:m], route[:n]) {
			t.Errorf("groups %q and %q of one path", route[:n], again[:m])
		}
	})
}

// withoutValues keeps of each part of a query what is before its first "=", and replaces a part
// without "=".
func withoutValues(query string) string {
	var b strings.Builder
	for query != "" {
		end := strings.IndexAny(query, "&;")
		part, separator := query, ""
		if end >= 0 {
			part, separator = query[:end], query[end:end+1]
			query = query[end+1:]
		} else {
			query = ""
		}
		if name, _, ok := strings.Cut(part, "="); ok {
			b.WriteString(name + "=anything")
		} else {
			b.WriteString("other")
		}
		b.WriteString(separator)
	}
	return b.String()
}

func BenchmarkRequest(b *testing.B) {
	for name, target := range map[string]string{
		"Page":   "/wiki/TracGuide?action=history&version=3",
		"Id":     "/ticket/4711",
		"Asset":  "/static/js/jquery.min.js",
		"Poll":   "/chat/123e4567-e89b-12d3-a456-426614174000/events?since=1234567&_=1700000000000",
		"Longer": "/a/b/c/d/e/f/g/h/i?h=1&g=2&f=3&e=4&d=5&c=6&b=7&a=8&z=9",
	} {
		b.Run(name, func(b *testing.B) {
			r := requestFor(b, "GET", target, "Accept", acceptOfPage, "Accept-Language", "en", "User-Agent", "x",
				"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Cookie", "a=b", "Referer", "y")
			c, ask, scratch := New(Config{Routes: true, Lanes: true}), new(admission.Request), []byte(nil)
			b.ReportAllocs()
			for b.Loop() {
				scratch = c.Request(ask, r, scratch)
			}
		})
	}
}
