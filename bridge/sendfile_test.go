package bridge

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// writeFile makes a file of ten bytes, and returns its directory.
func writeFile(t *testing.T, name string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	full := filepath.Join(dir, name)
	if err := os.WriteFile(full, []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(full, time.Time{}, time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The file is sent in place of the body, whatever that is, whatever length was announced,
// and however the application ends.
func TestSendfile(t *testing.T) {
	dir := writeFile(t, "a.txt")
	xsend := "X-Sendfile: " + dir + "/a.txt\r\n"
	whole := map[string]string{
		"Content-Length": "10", "Content-Type": "text/x-mine", "Accept-Ranges": "bytes", "Last-Modified": "Thu, 02 Jan 2020 03:04:05 GMT",
		"X-A": "b", "X-Sendfile": "", "X-Accel-Redirect": "", "Content-Disposition": "attachment",
	}
	common := "Content-Type: text/x-mine\r\nX-A: b\r\nContent-Disposition: attachment\r\n"
	for name, s := range map[string]saying{
		"no length":       {parts: say(xsend + common + "\r\n"), status: 200, body: "0123456789", header: whole},
		"its length":      {parts: say(xsend + common + "Content-Length: 10\r\n\r\n"), status: 200, body: "0123456789", header: whole},
		"length 0":        {parts: say(common + "Content-Length: 0\r\n" + xsend + "\r\n"), status: 200, body: "0123456789", header: whole},
		"another length":  {parts: say(xsend+common+"Content-Length: 3\r\n\r\n", "abc"), status: 200, body: "0123456789", header: whole},
		"a body":          {parts: say(xsend+common+"\r\n", "a page", " of its own"), status: 200, body: "0123456789", header: whole},
		"chunks":          {parts: say(xsend+common+"Transfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"), status: 200, body: "0123456789", header: whole},
		"no end":          {parts: say(xsend + common + "\r\n"), end: fcgitest.HungUp, status: 200, body: "0123456789", header: whole},
		"late end":        {parts: say(xsend + common + "\r\n"), end: fcgitest.EndedLate, status: 200, body: "0123456789", header: whole},
		"X-Accel":         {parts: say("X-Accel-Redirect: /protected/a.txt\r\n" + common + "\r\n"), status: 200, body: "0123456789", header: whole},
		"both":            {parts: say("X-Accel-Redirect: /elsewhere/a.txt\r\n" + xsend + common + "\r\n"), status: 200, body: "0123456789", header: whole},
		"lighttpd's":      {parts: say("X-LIGHTTPD-send-file: " + dir + "/a.txt\r\n" + common + "\r\n"), status: 200, body: "0123456789", header: whole},
		"HEAD":            {method: "HEAD", parts: say(xsend + common + "\r\n"), status: 200, header: whole},
		"POST":            {method: "POST", parts: say(xsend + common + "\r\n"), status: 200, body: "0123456789", header: map[string]string{"Content-Length": "10"}},
		"a range said":    {parts: say("Status: 206\r\nContent-Range: bytes 0-1/10\r\n" + xsend + "\r\n"), status: 200, body: "0123456789", header: map[string]string{"Content-Range": ""}},
		"error page":      {parts: say("Status: 403\r\n" + xsend + "\r\n"), status: 403, body: "0123456789", header: map[string]string{"Accept-Ranges": "", "Content-Length": "10"}},
		"no type":         {parts: say(xsend + "\r\n"), status: 200, body: "0123456789", header: map[string]string{"Content-Type": "text/plain; charset=utf-8"}},
		"modified later":  {parts: say("Last-Modified: Fri, 03 Jan 2020 03:04:05 GMT\r\n" + xsend + "\r\n"), status: 200, body: "0123456789", header: map[string]string{"Last-Modified": "Fri, 03 Jan 2020 03:04:05 GMT"}},
		"not modified":    {parts: say("Status: 304\r\n" + xsend + "\r\n"), status: 304, header: map[string]string{"X-Sendfile": ""}},
		"event stream":    {parts: say(xsend + "X-Accel-Buffering: no\r\nContent-Type: text/event-stream\r\n\r\n"), status: 200, body: "0123456789"},
		"Connection":      {parts: say(xsend+"Connection: X-Sendfile\r\n\r\n", "a page"), status: 200, body: "a page", header: map[string]string{"X-Sendfile": ""}},
		"interim":         {parts: say("Status: 103\r\n"+xsend+"\r\n", xsend+"\r\n"), status: 200, body: "0123456789"},
		"redirect within": {parts: say("Location: /x\r\n" + xsend + "\r\n"), status: 302, body: "0123456789"},
	} {
		t.Run(name, func(t *testing.T) {
			s.check(t, Config{ApplicationConfig: ApplicationConfig{Workers: 4}, SiteConfig: SiteConfig{Sendfile: []string{dir, "/protected=" + dir}}})
		})
	}
}

// Conditions and ranges are met by the file, not by the application.
func TestSendfileConditions(t *testing.T) {
	dir := writeFile(t, "a.txt")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Sendfile: []string{dir}}}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			encoding := ""
			if q.Param("REQUEST_URI") == "/gzip" {
				encoding = "Content-Encoding: gzip\n"
			}
			s.Send(fcgitest.Out(q.ID, "X-Sendfile: "+dir+"/a.txt\nContent-Length: 10\nETag: \"x\"\n"+encoding+"\n"), fcgitest.End(q.ID))
		}))
		for _, test := range []struct {
			header, value string
			status        int
			body, ranges  string
		}{
			{"Range", "bytes=2-4", 206, "234", "bytes 2-4/10"},
			{"Range", "bytes=-3", 206, "789", "bytes 7-9/10"},
			{"Range", "bytes=20-", 416, "", "bytes */10"},
			{"If-None-Match", `"x"`, 304, "", ""},
			{"If-None-Match", `"y"`, 200, "0123456789", ""},
			{"If-Match", `"y"`, 412, "", ""},
			{"If-Modified-Since", "Thu, 02 Jan 2020 03:04:05 GMT", 304, "", ""},
			{"If-Modified-Since", "Thu, 02 Jan 2020 03:04:04 GMT", 200, "0123456789", ""},
		} {
			req, _ := http.NewRequest(http.MethodGet, "http://app.test/", nil)
			req.Header.Set(test.header, test.value)
			re := r.send(req)
			if re.status != test.status || re.err != nil || re.header.Get("Content-Range") != test.ranges || test.status < 400 && re.body != test.body {
				t.Errorf("%s: %s: %d %q, %v", test.header, test.value, re.status, re.body, re.header)
			}
			if o := r.outcome(); o.Status != test.status || test.status < 400 && o.BytesOut != int64(len(test.body)) || o.Err != nil {
				t.Errorf("%s: %s: outcome %+v", test.header, test.value, o)
			}
		}
		if re := r.get("/gzip"); re.status != 200 || re.body != "0123456789" || re.header.Get("Content-Length") != "10" || re.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%d %q %v", re.status, re.body, re.header)
		}
		// Several parts, and a range of a copy that is older.
		req, _ := http.NewRequest(http.MethodGet, "http://app.test/", nil)
		req.Header.Set("Range", "bytes=0-1,4-5")
		if re := r.send(req); re.status != 206 || !strings.Contains(re.body, "01") || !strings.HasPrefix(re.header.Get("Content-Type"), "multipart/byteranges") {
			t.Errorf("%d %q", re.status, re.body)
		}
		req.Header.Set("If-Range", `"y"`)
		if re := r.send(req); re.status != 200 || re.body != "0123456789" {
			t.Errorf("%d %q", re.status, re.body)
		}
		r.wantKept(1)
	})
}

// A file that may not be sent is not, and whoever could not act on the field is not told
// of it. What there is of a page is sent; without one the answer is an error.
func TestSendfileThatIsNotSent(t *testing.T) {
	dir := writeFile(t, "a.txt")
	gone := map[string]string{"X-Sendfile": "", "X-Accel-Redirect": "", "X-Lighttpd-Send-File": ""}
	for name, tc := range map[string]struct {
		list []string
		saying
	}{
		"nothing listed":        {nil, saying{parts: say("X-Sendfile: " + dir + "/a.txt\nContent-Length: 10\n\n"), cut: true, log: "add --sendfile " + dir}},
		"nothing listed, HEAD":  {nil, saying{method: "HEAD", parts: say("X-Sendfile: " + dir + "/a.txt\n\n"), cut: true, log: "no directory is listed"}},
		"late end":              {nil, saying{parts: say("X-Sendfile: " + dir + "/a.txt\n\n"), end: fcgitest.EndedLate, cut: true, log: "no directory is listed"}},
		"X-Accel":               {nil, saying{parts: say("X-Accel-Redirect: /protected/a.txt\n\n"), cut: true, log: "--trusted-proxy"}},
		"a page":                {nil, saying{parts: say("X-Sendfile: "+dir+"/a.txt\nContent-Length: 10\n\n", "a page"), status: 200, body: "a page", header: gone, log: "no directory is listed"}},
		"a page, HEAD":          {nil, saying{method: "HEAD", parts: say("X-Sendfile: "+dir+"/a.txt\nContent-Length: 10\n\n", "a page"), status: 200, header: gone, log: "no directory is listed"}},
		"elsewhere":             {[]string{dir}, saying{parts: say("X-Sendfile: /etc/passwd\n\n"), cut: true, log: "in no listed directory"}},
		"elsewhere, and a page": {[]string{dir}, saying{parts: say("X-Sendfile: /etc/passwd\nX-LIGHTTPD-send-file: /etc/passwd\nX-Accel-Redirect: /etc/passwd\n\n", "a page"), status: 200, body: "a page", header: gone, log: "in no listed directory"}},
		"not modified":          {nil, saying{parts: say("Status: 304\nX-Sendfile: " + dir + "/a.txt\n\n"), status: 304, header: gone, log: "no directory is listed"}},
		"truncated page":        {nil, saying{parts: say("X-Sendfile: "+dir+"/a.txt\n\n", "a page"), end: fcgitest.HungUp, cut: true}},
		"not there":             {[]string{dir}, saying{parts: say("X-Sendfile: " + dir + "/b.txt\n\n"), status: 404, body: "404 Not Found\n\nThere is nothing here.\n", log: "level=ERROR"}},
		"a directory":           {[]string{filepath.Dir(dir)}, saying{parts: say("X-Sendfile: "+dir+"\n\n", "a page"), status: 404, body: "404 Not Found\n\nThere is nothing here.\n", log: "level=ERROR"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.check(t, Config{ApplicationConfig: ApplicationConfig{Workers: 4}, SiteConfig: SiteConfig{Sendfile: tc.list}})
		})
	}
}

// The log is told once.
func TestSendfileNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Sendfile: []string{"/nowhere"}}}, fcgitest.Answer("X-Sendfile: /srv/a.txt\n\na page"))
		for range 3 {
			r.get("/")
		}
		if n := strings.Count(r.log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings\n%s", n, r.log)
		}
		if list := r.b.Unused(); len(list) != 1 || list[0].Error() != `sendfile "/nowhere": there is no such directory` {
			t.Errorf("unused: %v", list)
		}
	})
}

// A trusted proxy may act on the field, so it gets it, with whatever body there is.
func TestSendfileOfATrustedProxy(t *testing.T) {
	dir := writeFile(t, "a.txt")
	for name, s := range map[string]saying{
		"X-Accel-Redirect":    {parts: say("X-Accel-Redirect: /protected/a.txt\nContent-Length: 10\n\n"), status: 200, header: map[string]string{"X-Accel-Redirect": "/protected/a.txt"}},
		"X-Sendfile, a page":  {parts: say("X-Sendfile: /srv/a.txt\nContent-Length: 10\n\n", "a page"), status: 200, body: "a page", header: map[string]string{"X-Sendfile": "/srv/a.txt"}},
		"sent here":           {parts: say("X-Sendfile: " + dir + "/a.txt\n\n"), status: 200, body: "0123456789", header: map[string]string{"X-Sendfile": ""}},
		"truncated":           {parts: say("X-Sendfile: /srv/a.txt\n\n", "a page"), end: fcgitest.HungUp, cut: true},
		"HEAD, a file's size": {method: "HEAD", parts: say("X-Sendfile: /srv/a.txt\nContent-Length: 10\n\n"), status: 200, header: map[string]string{"X-Sendfile": "/srv/a.txt", "Content-Length": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			s.check(t, Config{ApplicationConfig: ApplicationConfig{Workers: 4}, SiteConfig: SiteConfig{Sendfile: []string{dir}}, SiteHooks: SiteHooks{Identify: trust}})
		})
	}
}

func trust(_ *http.Request, c *cgi.Client) { c.Trusted = true }

// The worker is free while the file is sent, and the file is closed when a client leaves.
func TestSendfileHoldsNoWorker(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}, SiteConfig: SiteConfig{Sendfile: []string{dir}, Timeouts: TimeoutsConfig{Client: Duration(20 * time.Second)}}}, fcgitest.Answer("X-Sendfile: "+dir+"/big\n\n"))
		c := r.raw()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
		time.Sleep(time.Second)
		if s := r.b.Snapshot(); s.InFlight != 1 || s.Gate.InUse != 0 || s.Pool.Instances[0].Idle != 1 {
			t.Errorf("snapshot %+v, want a request in flight and a free worker", s)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.ContentLength != 1<<20 {
			t.Fatalf("%+v, %v", resp, err)
		}
		time.Sleep(21 * time.Second) // it takes no more
		if o := r.outcome(); !o.Aborted || o.Status != 200 {
			t.Errorf("outcome %+v, want aborted", o)
		}
	})
}

// A file that becomes shorter while it is sent does not look complete.
func TestSendfileThatShrinks(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "big")
	if err := os.WriteFile(name, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Sendfile: []string{dir}}}, fcgitest.Answer("X-Sendfile: "+name+"\n\n"))
		c := r.raw()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
		time.Sleep(time.Second)
		if err := os.Truncate(name, 300<<10); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes, %v", n, err)
		}
		if o := r.outcome(); !o.Aborted || !strings.Contains(fmt.Sprint(o.Err), "the file ended") {
			t.Errorf("outcome %+v", o)
		}
	})
}

// Nor does it where the front encodes what it is given, and so takes the length away.
func TestSendfileThatShrinksBehindAnEncoder(t *testing.T) {
	name := filepath.Join(writeFile(t, "a.txt"), "a.txt")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Sendfile: []string{filepath.Dir(name)}}}, fcgitest.Answer("X-Sendfile: "+name+"\n\n"))
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("it ended with %v", p)
			}
			if o := r.outcome(); !o.Aborted || o.BytesOut != 4 {
				t.Errorf("outcome %+v", o)
			}
		}()
		r.b.ServeHTTP(&shrinking{httptest.NewRecorder(), name}, httptest.NewRequest("GET", "/", nil))
	})
}

// shrinking is an encoder to the bridge, before which a file becomes shorter.
type shrinking struct {
	*httptest.ResponseRecorder
	name string
}

func (w *shrinking) WriteHeader(status int) {
	w.Header().Del("Content-Length")
	w.ResponseRecorder.WriteHeader(status)
	_ = os.Truncate(w.name, 4) // the bytes that are written tell
}
