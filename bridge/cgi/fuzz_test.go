package cgi

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
)

func FuzzVars(f *testing.F) {
	root := f.TempDir()
	for _, name := range []string{"index.php", "a.php", "sub/index.php", "dir.php/b.php", "style.css", ".git/x.php", "a.php.bak", "data/x.php", "data/y.css"} {
		writeFile(f, root, name, 0o644)
	}
	writeFile(f, root, "tool.cgi", 0o755)
	outside := f.TempDir()
	writeFile(f, outside, "secret.php", 0o755)
	symlink(f, outside, root+"/out")
	env := map[string]string{"HTTP_X_ENV": "env", "SERVER_NAME": "env", "PATH_INFO": "env"}
	var mappers []*Mapper
	for _, preset := range []string{PresetApp, PresetPHP, PresetCGI} {
		for _, mount := range []string{"", "/m"} {
			mappers = append(mappers,
				newMapper(f, Config{Preset: preset, Mount: mount, Root: root, Hide: []string{"/data"}, TrustedProxies: []string{"10.0.0.0/8"}, UserHeader: "X-Remote-User"}),
				newMapper(f, Config{Preset: preset, Mount: mount, Root: root, Env: env}))
			if preset != PresetApp {
				mappers = append(mappers, newMapper(f, Config{
					Preset: preset, Mount: mount, Root: root, Unchecked: true, Fallback: "/a.php", Hide: []string{"/data"}, Virtual: []string{"/ping"},
				}))
			}
			detours := Config{
				Preset: preset, Mount: mount, Root: root, Static: StaticUsual, Hide: []string{"/data"},
				Redirect: []string{"/old/* " + mount + "/new/* 301", "//www.example.org/*/x* " + mount + "/*?y=* 301"},
				Rewrite:  []string{"/r/* " + mount + "/*", "/q/*/* " + mount + "/*.php/*", "/s* " + mount + "/sub/.*"},
			}
			if preset != PresetApp {
				detours.Fallback = map[string]string{PresetPHP: "/a.php/*?path=*", PresetCGI: "/tool.cgi/*"}[preset]
				detours.Scripts = []string{"/a.php", "/tool.cgi", "/sub/*"}
			}
			mappers = append(mappers, newMapper(f, detours))
			mappers = append(mappers, newMapper(f, Config{
				Preset: preset, Mount: mount, Root: root, Static: StaticUsual, StaticDirs: []string{"/sub", "/elsewhere=" + root}, Hide: []string{"/data"},
			}))
		}
	}
	f.Add("/a.php/x", "q=1", "example.org", "X-Env", "value", "10.0.0.1:1")
	f.Add("/m/sub", "", "[::1]:80", "X_Env", "a\r\nb", "@")
	f.Add("/m/tool.cgi//x", "%0a", "a:b", "X-Forwarded-For", "1.2.3.4, 10.0.0.2", "10.0.0.1:1")
	f.Add("/../out/secret.php", "", "", "Proxy", "x", "")
	f.Add("//dir.php/../a.php\x00", "", "x", "Forwarded", `for="[::1]:1";proto=https`, "10.0.0.1:1")
	f.Add("/out/secret.php/x", "", "x", "Content-Length", "1", "192.0.2.1:1")
	f.Add("/m", "\n", "x", "X-Remote-User", "a", "192.0.2.1:1")
	f.Add("/m/sub", "a b\u00e9#\x7f", "a..b", "Connection", "X-Forwarded-For", "10.0.0.1:1")
	f.Add("/m//data;x/x.php", "", `a"<b>`, "X-Remote-User", "jane", "10.0.0.1:1")
	f.Add("/.git/x.php/y", "", "a:b:c", "X-Forwarded-Host", `a"b`, "10.0.0.1:1")
	f.Add("/m/upload/x.jpg/a.php", "", "x", "X-A", "", "")
	f.Add("/elsewhere/../data/y.css", "", "x", "X-A", "", "")
	f.Add("/elsewhere//out/secret.php", "", "x", "X-A", "", "")
	f.Add("/ping", "", "x", "X-A", "", "")
	f.Add("/r/data/y.css", "", "x", "X-A", "", "")
	f.Add("/r//sub/../a.php", "a=b", "x", "X-A", "", "")
	f.Add("/s./x", "", "x", "X-A", "", "")
	f.Add("/old//evil.example/ \u00e9#", "a b", "x", "X-A", "", "")
	f.Add("/a/b/x\\c", "", "www.example.org:80", "X-A", "", "")
	f.Add("/a.php.bak", "", "[::1", "Forwarded", `for=6.6.6.6;by="`, "10.0.0.1:1")
	f.Fuzz(func(t *testing.T, urlPath, query, host, name, value, remote string) {
		r := &http.Request{
			Method: "GET", Proto: "HTTP/1.1", Host: host, RemoteAddr: remote, RequestURI: "/raw",
			URL:    &url.URL{Path: urlPath, RawQuery: query},
			Header: http.Header{"X-Forwarded-For": {value}, name: {value, value}, "Connection": {name}, "Cookie": {value}},
		}
		r = r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv6loopback, Port: 80}))
		for _, m := range mappers {
			checkStatic(t, m, r)
			c := m.Client(r)
			list, err := m.Vars(nil, r, &c, 3)
			if err != nil {
				checkRefusal(t, m, err)
				continue
			}
			checkVars(t, m, c, list, root)
		}
	})
}

func checkRefusal(t *testing.T, m *Mapper, err error) {
	refused, ok := errors.AsType[*RequestError](err)
	if !ok {
		t.Fatalf("%v is no *RequestError", err)
	}
	if (refused.Status == http.StatusMovedPermanently) != (refused.Location != "") {
		t.Errorf("status %d with Location %q", refused.Status, refused.Location)
	}
	if hasBreak(refused.Reason) || hasBreak(refused.Location) {
		t.Errorf("NUL, CR or LF in %q or %q", refused.Reason, refused.Location)
	}
	if strings.ContainsFunc(refused.Location, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		t.Errorf("Location %q does not fit a header field", refused.Location)
	}
	if refused.Location != "" && (!strings.HasPrefix(refused.Location, m.mount+"/") || strings.HasPrefix(refused.Location, "//")) {
		t.Errorf("Location %q leads elsewhere", refused.Location)
	}
	if refused.File == "" {
		return
	}
	if hasDot("/"+refused.File) || strings.HasSuffix(refused.File, ".bak") || m.hide.Has(m.mount+"/"+refused.File) {
		t.Errorf("%q would be sent", refused.File)
	}
	if info, err := m.root.Stat(refused.File); err != nil || m.isScript(refused.File, info) {
		t.Errorf("%q is not a static file: %v", refused.File, err)
	}
}

// checkStatic has the file that would be sent, if there is one, be one that may be.
func checkStatic(t *testing.T, m *Mapper, r *http.Request) {
	f, err := m.OpenStatic(r)
	if err != nil && !errors.Is(err, ErrOutsideRoot) && !errors.Is(err, fs.ErrInvalid) {
		t.Fatal(err)
	}
	if f == nil {
		return
	}
	defer f.Close()
	if name := f.Info.Name(); strings.HasPrefix(name, ".") || isBackup(name) || m.isSource(path.Ext(name)) || name == "secret.php" {
		t.Errorf("%q would be sent", name)
	}
	if m.hide.Has(r.URL.Path) || len(m.hide.list) > 0 && len(m.static.dirs) == 0 && f.Info.Name() == "y.css" {
		t.Errorf("%q is hidden and would be sent", r.URL.Path)
	}
}

func checkVars(t *testing.T, m *Mapper, c Client, list []Var, root string) {
	got := make(map[string]string, len(list))
	for _, v := range list {
		if _, twice := got[v.Name]; twice {
			t.Errorf("%s is emitted twice", v.Name)
		}
		if !validVarName(v.Name) || v.Name != strings.ToUpper(v.Name) || hasBreak(v.Value) {
			t.Errorf("bad variable %q=%q", v.Name, v.Value)
		}
		got[v.Name] = v.Value
	}
	for name, value := range m.env {
		if got[name] != value {
			t.Errorf("%s is %q, configured is %q", name, got[name], value)
		}
	}
	if !c.Trusted && got["HTTP_X_REMOTE_USER"]+got["REMOTE_USER"] != "" && m.userHeader != "" {
		t.Error("an untrusted peer has named a user")
	}
	if _, _, ok := splitHost(got["HTTP_HOST"]); !ok && got["HTTP_HOST"] != "" {
		t.Errorf("HTTP_HOST is %q", got["HTTP_HOST"])
	}
	if !c.Trusted && got["HTTP_X_FORWARDED_FOR"]+got["HTTP_FORWARDED"]+got["HTTP_X_REAL_IP"] != "" {
		t.Error("an untrusted peer's word was passed on")
	}
	if len(m.env) > 0 {
		return // PATH_INFO is the configured one
	}
	uri := got["SCRIPT_NAME"] + got["PATH_INFO"]
	if uri != got["DOCUMENT_URI"] || !strings.HasPrefix(uri, "/") {
		t.Errorf("SCRIPT_NAME+PATH_INFO is %q, DOCUMENT_URI %q", uri, got["DOCUMENT_URI"])
	}
	if !strings.HasPrefix(got["SCRIPT_NAME"], m.mount) || hasDotSegment(uri) {
		t.Errorf("%q has left the mount %q", uri, m.mount)
	}
	script, ok := strings.CutPrefix(got["SCRIPT_FILENAME"], root)
	if ok != (m.preset != PresetApp) {
		t.Fatalf("SCRIPT_FILENAME is %q", got["SCRIPT_FILENAME"])
	}
	if !ok {
		return
	}
	if path.Clean(script) != script || m.mount+script != got["SCRIPT_NAME"] {
		t.Errorf("SCRIPT_FILENAME is %q, SCRIPT_NAME %q", got["SCRIPT_FILENAME"], got["SCRIPT_NAME"])
	}
	if hasDot(script) || m.hide.Has(m.mount+script) || len(m.scripts) > 0 && !matchesAny(m.scripts, script) {
		t.Errorf("%q is run", script)
	}
	if m.unchecked {
		if m.isFileByName(path.Base(path.Dir(script))) {
			t.Errorf("%q is run below a file", script)
		}
		return
	}
	if info, err := m.root.Stat(script[1:]); err != nil || !m.isScript(script, info) {
		t.Errorf("%q is not a script below the root: %v", script, err)
	}
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("Status: 404 Not Found\r\nContent-Type: text/html\r\n\r\nbody"), uint(3))
	f.Add([]byte("Location: /a?b\n\n"), uint(0))
	f.Add([]byte("HTTP/1.1 200 OK\nSet-Cookie: a\nSet-Cookie: b\nConnection: X, close\nX: y\n\r\n"), uint(9))
	f.Add([]byte("A: b\n\r\r\n\n"), uint(6))
	f.Add([]byte("Status: 103\nLink: a\n\n"), uint(1))
	f.Add([]byte("Transfer-Encoding: chunked\nX A: b\n c\nContent-Type : d\nContent-Type: e\n\n"), uint(30))
	f.Add([]byte("Location: /a %4 \xe9?\xff b\n\n"), uint(2))
	f.Add([]byte("X-Sendfile: /a\nX-Accel-Redirect: /b\nStatus: 205x\nContent-Length: 3\n\n"), uint(2))
	f.Add([]byte("Content-Length: 1\nContent-Length: 1\nX-Accel-Buffering: no\n\n"), uint(60))
	f.Fuzz(func(t *testing.T, b []byte, cut uint) {
		end := HeaderEnd(b, 0)
		if end == 0 || end > len(b) {
			t.Fatalf("HeaderEnd is %d of %d", end, len(b))
		}
		if first := b[:min(cut, uint(len(b)))]; HeaderEnd(first, 0) < 0 && HeaderEnd(b, len(first)) != end {
			t.Fatalf("HeaderEnd is %d, or %d if it comes in two pieces", end, HeaderEnd(b, len(first)))
		}
		if end < 0 {
			if _, err := ParseResponse(b, http.Header{}); err == nil {
				t.Fatal("a header without end was parsed")
			}
			return
		}
		if before := b[:end-1]; HeaderEnd(before, 0) >= 0 {
			t.Fatalf("HeaderEnd is %d, but %d in a prefix", end, HeaderEnd(before, 0))
		}
		checkResponse(t, b[:end])
	})
}

func checkResponse(t *testing.T, block []byte) {
	h := http.Header{}
	r, err := ParseResponse(block, h)
	if err != nil {
		if bad, ok := errors.AsType[*HeaderError](err); !ok || hasBreak(bad.Error()) {
			t.Fatalf("%v is no clean *HeaderError", err)
		}
		return
	}
	if r.Status < 100 || r.Status > 999 || r.ContentLength < -1 || r.Chunked && (r.ContentLength >= 0 || h["Content-Length"] != nil) {
		t.Errorf("got %+v with %v", r, h)
	}
	if hasControl(r.Warning) {
		t.Errorf("warning %q", r.Warning)
	}
	checkLocalRedirect(t, r, h)
	fields := 0
	for name, lines := range h {
		if !isToken(name) || http.CanonicalHeaderKey(name) != name {
			t.Errorf("field name %q", name)
		}
		for _, line := range lines {
			fields++
			if hasControl(line) || strings.Trim(line, " \t") != line {
				t.Errorf("%s: %q", name, line)
			}
		}
		if IsSingle(name) && len(lines) != 1 {
			t.Errorf("%s: %q", name, lines)
		}
	}
	if fields > bytes.Count(block, []byte("\n"))-1 {
		t.Errorf("%d fields from %q", fields, block)
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Status"} {
		if _, ok := h[name]; ok {
			t.Errorf("%s was passed on", name)
		}
	}
}

func checkLocalRedirect(t *testing.T, r Response, h http.Header) {
	if r.LocalRedirect == "" {
		return
	}
	if len(h) > 1 || r.Status != http.StatusFound || r.LocalRedirect[0] != '/' || strings.ContainsFunc(r.LocalRedirect, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }) {
		t.Errorf("local redirect to %q with %d %v", r.LocalRedirect, r.Status, h)
	}
	if _, err := url.ParseRequestURI(r.LocalRedirect); err != nil {
		t.Errorf("local redirect: %v", err)
	}
}
