package bridge

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// saying is what an application says, and what the client must get of it, whatever the
// pace. The answer is not complete if cut is set: it is an error, or broken off.
type saying struct {
	method string // "": GET
	path   string // "": /
	parts  []string
	end    fcgitest.Ending
	status int
	header map[string]string // "": it must not be there
	body   string
	cut    bool
	accept string // Accept-Encoding of the client
	log    string // what the log must say, "": nothing worth a warning
}

func say(parts ...string) []string { return parts }

// check plays it at every pace, on connections of its own and on shared ones.
func (s saying) check(t *testing.T, cfg Config) {
	for _, multiplex := range []Switch{Off, On} {
		for pace := range fcgitest.AtOnce + 1 {
			t.Run(fmt.Sprintf("%v, multiplex %s", pace, multiplex), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := cfg
					cfg.Multiplex = multiplex
					script, then := fcgitest.Says(pace, s.end, s.parts...), fcgitest.Hello
					if multiplex == On {
						script, then = fcgitest.MuxSays(pace, s.end, s.parts...), fcgitest.MuxPage
					}
					s.checkOnce(t, newRig(t, cfg, script, then))
				})
			})
		}
	}
}

func (s saying) checkOnce(t *testing.T, r *rig) {
	method := s.method
	if method == "" {
		method = http.MethodGet
	}
	path := s.path
	if path == "" {
		path = "/"
	}
	req, err := http.NewRequest(method, "http://app.test"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.accept != "" {
		req.Header.Set("Accept-Encoding", s.accept)
	}
	re := decoded(t, r.send(req))
	complete := re.err == nil && re.status != http.StatusBadGateway
	switch {
	case s.cut && complete:
		t.Errorf("%d %q looks complete", re.status, re.body)
	case !s.cut && (!complete || re.status != s.status || re.body != s.body):
		t.Errorf("got %d %q, %v; want %d %q", re.status, re.body, re.err, s.status, s.body)
	}
	for name, want := range s.header {
		if got := strings.Join(re.header[name], "|"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if re.after > 5*time.Second {
		t.Errorf("it took %v", re.after)
	}
	time.Sleep(time.Second) // what is said after the answer
	log := r.log.String()
	if s.log == "" && !s.cut && strings.Contains(log, "level=WARN") || !strings.Contains(log, s.log) {
		t.Errorf("the log says %s, want %q", log, s.log)
	}
	// Nothing of it is left over for the next, on whatever connection.
	for range 2 {
		r.wantPage(r.get("/next"))
	}
	time.Sleep(15 * time.Second) // until it is ended
	r.wantNothingHeld()
}

// answers are what applications say, and how.
func answers() map[string]saying {
	text := "Content-Type: text/plain\r\n"
	return map[string]saying{
		"length met":                   {parts: say(text+"Content-Length: 5\r\n\r\n", "hello"), end: fcgitest.HungUp, status: 200, body: "hello"},
		"length met in the header":     {parts: say(text + "Content-Length: 5\r\n\r\nhello"), end: fcgitest.HungUp, status: 200, body: "hello"},
		"length met, late end":         {parts: say(text+"Content-Length: 5\r\n\r\n", "hello"), end: fcgitest.LateOnly, status: 200, body: "hello"},
		"length met, end of STDOUT":    {parts: say(text+"Content-Length: 5\r\n\r\n", "hello"), end: fcgitest.ClosedOut, status: 200, body: "hello"},
		"length exceeded":              {parts: say(text+"Content-Length: 5\r\n\r\n", "hello!"), end: fcgitest.HungUp, status: 200, body: "hello", log: "more than its Content-Length"},
		"length 0":                     {parts: say(text + "Content-Length: 0\r\n\r\n"), end: fcgitest.HungUp, status: 200},
		"length met, streaming":        {parts: say(text+"X-Accel-Buffering: no\r\nContent-Length: 5\r\n\r\n", "hello"), end: fcgitest.HungUp, status: 200, body: "hello"},
		"end of STDOUT":                {parts: say(text+"\r\n", "hello"), end: fcgitest.ClosedOut, status: 200, body: "hello"},
		"end of STDOUT, streaming":     {parts: say(text+"X-Accel-Buffering: no\r\n\r\n", "hello"), end: fcgitest.ClosedOut, status: 200, body: "hello"},
		"end of STDOUT, late end":      {parts: say(text+"\r\n", "hello"), end: fcgitest.EndedLate, status: 200, body: "hello"},
		"the same, streaming":          {parts: say("Content-Type: text/event-stream\r\n\r\n", "hello"), end: fcgitest.EndedLate, status: 200, body: "hello"},
		"the same, without a body":     {parts: say(text + "\r\n"), end: fcgitest.EndedLate, status: 200},
		"no end of STDOUT":             {parts: say(text+"\r\n", "hello"), end: fcgitest.EndedOnly, status: 200, body: "hello"},
		"HEAD":                         {method: "HEAD", parts: say(text + "\r\n"), end: fcgitest.HungUp, status: 200},
		"HEAD, length":                 {method: "HEAD", parts: say(text + "Content-Length: 5\r\n\r\n"), end: fcgitest.HungUp, status: 200, header: map[string]string{"Content-Length": "5"}},
		"HEAD, late end":               {method: "HEAD", parts: say(text + "\r\n"), end: fcgitest.LateOnly, status: 200},
		"204":                          {parts: say("Status: 204\r\n\r\n"), end: fcgitest.HungUp, status: 204},
		"304":                          {parts: say("Status: 304\r\n\r\n"), end: fcgitest.HungUp, status: 304},
		"205":                          {parts: say("Status: 205\r\n"+text+"Content-Length: 5\r\n\r\n", "hello"), status: 205, header: map[string]string{"Content-Length": "0"}},
		"205, hung up":                 {parts: say("Status: 205\r\n\r\n"), end: fcgitest.HungUp, status: 205, header: map[string]string{"Content-Length": "0"}},
		"HEAD of a 205":                {method: "HEAD", parts: say("Status: 205\r\n\r\n"), status: 205},
		"chunks":                       {parts: say(text+"Transfer-Encoding: chunked\r\n\r\n", "5\r\nhel", "lo\r\n0\r\n\r\n"), status: 200, body: "hello", header: map[string]string{"Trailer": ""}},
		"chunks, hung up":              {parts: say(text+"Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"), end: fcgitest.HungUp, status: 200, body: "hello"},
		"chunks, late end":             {parts: say(text+"Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"), end: fcgitest.LateOnly, status: 200, body: "hello"},
		"chunks, a length, a trailer":  {parts: say(text+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n", "6\r\nhello!\r\n0\r\nX-Sum: 1\r\n\r\n"), status: 200, body: "hello!", header: map[string]string{"X-Sum": ""}},
		"chunks, streaming":            {parts: say("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n", "0\r\n\r\n"), end: fcgitest.LateOnly, status: 200, body: "hello"},
		"chunks that are none":         {parts: say(text+"Transfer-Encoding: chunked\r\n\r\n", "hello"), status: 200, body: "hello"},
		"chunks that are none, no END": {parts: say(text+"Transfer-Encoding: chunked\r\n\r\n", "hello"), end: fcgitest.ClosedOut, status: 200, body: "hello"},
		"chunks of nothing":            {parts: say(text + "Transfer-Encoding: chunked\r\n\r\n"), status: 200},
		"chunks for HEAD":              {method: "HEAD", parts: say(text + "Transfer-Encoding: chunked\r\n\r\n"), status: 200},
		"empty record first":           {parts: say("", text+"\r\n", "hello"), status: 200, body: "hello"},
		"empty record in the header":   {parts: say(text, "", "\r\n", "hello"), status: 200, body: "hello"},
		"empty record, length":         {parts: say(text+"Content-Length: 5\r\n\r\n", "he", "", "llo"), status: 200, body: "hello"},
		"empty record in chunks":       {parts: say(text+"Transfer-Encoding: chunked\r\n\r\n", "5\r\nhe", "", "llo\r\n0\r\n\r\n"), status: 200, body: "hello"},

		"too short":                  {parts: say(text+"Content-Length: 6\r\n\r\n", "hello"), cut: true},
		"too short, hung up":         {parts: say(text+"Content-Length: 6\r\n\r\n", "hello"), end: fcgitest.HungUp, cut: true},
		"too short, end of STDOUT":   {parts: say(text+"Content-Length: 6\r\n\r\n", "hello"), end: fcgitest.ClosedOut, cut: true},
		"hung up":                    {parts: say(text+"\r\n", "hello"), end: fcgitest.HungUp, cut: true},
		"hung up in the header":      {parts: say(text), end: fcgitest.HungUp, cut: true},
		"end of STDOUT in it":        {parts: say(text), end: fcgitest.ClosedOut, cut: true},
		"nothing but its end":        {end: fcgitest.ClosedOut, cut: true},
		"no last chunk":              {parts: say(text+"Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n"), cut: true},
		"no last chunk, hung up":     {parts: say(text+"Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n"), end: fcgitest.HungUp, cut: true},
		"half a chunk, streaming":    {parts: say("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhel"), cut: true},
		"chunk longer than its size": {parts: say(text+"Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello!\r\n0\r\n\r\n"), cut: true},
		"compressed chunks":          {parts: say(text+"Transfer-Encoding: gzip, chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"), cut: true},
	}
}

// Answers that are complete are delivered, whatever their end is like.
func TestCompleteAnswers(t *testing.T) {
	for name, s := range answers() {
		t.Run(name, func(t *testing.T) { s.check(t, Config{ApplicationConfig: ApplicationConfig{Workers: 4}}) })
	}
}

// The same holds for answers that are compressed on their way: those that are cut have no end.
func TestCompressedAnswers(t *testing.T) {
	cfg := Config{ApplicationConfig: ApplicationConfig{Workers: 4}, SiteConfig: SiteConfig{Compression: config.Compression{Scope: config.CompressAll, MinSize: 1}}}
	for name, s := range answers() {
		s.accept = "gzip"
		switch streams := strings.Contains(strings.Join(s.parts, ""), "event-stream"); {
		case s.method == http.MethodHead:
			s.header = nil // a length that GET would not have is not announced
		case s.body != "" && !streams:
			s.header = map[string]string{"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
		case streams:
			s.header = map[string]string{"Content-Encoding": ""}
		}
		t.Run(name, func(t *testing.T) { s.check(t, cfg) })
	}
}

// decoded returns an answer with its content as it was before it was compressed.
func decoded(t *testing.T, re reply) reply {
	if re.header.Get("Content-Encoding") != "gzip" || re.body == "" {
		return re
	}
	z, err := gzip.NewReader(strings.NewReader(re.body))
	var text []byte
	if err == nil {
		text, err = io.ReadAll(z)
	}
	if re.err == nil && err != nil {
		t.Errorf("an answer that looks complete in HTTP is not in gzip: %v", err)
	}
	if re.err != nil && err == nil {
		t.Errorf("an answer that was cut is complete in gzip: %q", text)
	}
	re.body = string(text)
	return re
}

// Headers are taken as other servers take them, where that does no harm.
func TestSloppyHeaders(t *testing.T) {
	for name, s := range map[string]saying{
		"empty":                      {parts: say("\r\n", "hello"), status: 200, body: "hello", header: map[string]string{"Content-Type": ""}},
		"empty, LF":                  {parts: say("\nhello"), status: 200, body: "hello"},
		"colon in the status":        {parts: say("Status: 404: Not Found\r\n\r\n", "x"), status: 404, body: "x"},
		"glued status":               {parts: say("Status: 200OK\r\n\r\n", "x"), status: 200, body: "x"},
		"two statuses":               {parts: say("HTTP/1.1 200 OK\r\nStatus: 404\r\n\r\n", "x"), status: 404, body: "x"},
		"two types":                  {parts: say("Content-Type: text/html\r\nContent-Type: image/png\r\n\r\n", "x"), status: 200, body: "x", header: map[string]string{"Content-Type": "image/png"}, log: "the last one counts"},
		"one type twice":             {parts: say("Content-Type: text/html\r\nContent-Type: text/html\r\n\r\n", "x"), status: 200, body: "x", header: map[string]string{"Content-Type": "text/html"}},
		"one location twice":         {parts: say("Status: 302\r\nLocation: /a\r\nLocation: /a\r\n\r\n"), status: 302, header: map[string]string{"Location": "/a"}},
		"one length twice":           {parts: say("Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "hello"), status: 200, body: "hello"},
		"spaces before colons":       {parts: say("Content-Type : text/html\r\nX-A\t: b\r\n\r\n", "x"), status: 200, body: "x", header: map[string]string{"Content-Type": "text/html", "X-A": "b"}},
		"folded":                     {parts: say("X-A: a\r\n b\r\n\tc\r\nX-B: d\r\n\r\n", "x"), status: 200, body: "x", header: map[string]string{"X-A": "a b c", "X-B": "d"}},
		"no field name":              {parts: say("X A: b\r\nX-B: c\r\n\r\n", "x"), status: 200, body: "x", header: map[string]string{"X A": "", "X-B": "c"}, log: `\"X A\" is no field name`},
		"unknown coding":             {parts: say("Transfer-Encoding: binary\r\n\r\n", "x"), status: 200, body: "x", log: "no transfer coding"},
		"Early Hints":                {parts: say("Status: 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n", "Status: 200 OK\r\nX-A: b\r\n\r\n", "yes"), status: 200, body: "yes", header: map[string]string{"Link": "", "X-A": "b"}},
		"Continue":                   {parts: say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\nno"), status: 404, body: "no"},
		"many interim ones":          {parts: say("Status: 102\n\nStatus: 103\n\n", "HTTP/1.1 100 Continue\n\n", "X-A: b\n\n", "yes"), status: 200, body: "yes"},
		"interim, then nothing":      {parts: say("Status: 103\r\n\r\n"), cut: true},
		"interim, then no header":    {parts: say("Status: 101\r\n\r\n", "\x81\x05hello\n\n"), cut: true},
		"X-Accel-Buffering":          {parts: say("X-Accel-Buffering: no\r\n\r\n", "x"), status: 200, body: "x", header: map[string]string{"X-Accel-Buffering": "no"}},
		"NUL":                        {parts: say("X-A: a\x00b\r\n\r\n", "x"), cut: true},
		"CR":                         {parts: say("X-A: a\rSet-Cookie: b\r\n\r\n", "x"), cut: true},
		"control character":          {parts: say("X-A: a\x1b[31m\r\n\r\n", "x"), cut: true},
		"control character, dropped": {parts: say("X A: a\x7f\r\n\r\n", "x"), cut: true},
		"two lengths":                {parts: say("Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "hello!"), cut: true},
		"two locations":              {parts: say("Status: 302\r\nLocation: /a\r\nLocation: /b\r\n\r\n"), cut: true},
		"no colon":                   {parts: say("Hello\r\n\r\n", "x"), cut: true},
		"status of four digits":      {parts: say("Status: 2000\r\n\r\n", "x"), cut: true},
		"status 099":                 {parts: say("Status: 099\r\n\r\n", "x"), cut: true},
	} {
		t.Run(name, func(t *testing.T) { s.check(t, Config{ApplicationConfig: ApplicationConfig{Workers: 4}}) })
	}
}

// An application that goes on after an empty record is believed that it means nothing by
// it. What is lost in the one answer that shows it is told.
func TestGoesOnAfterAnEmptyRecord(t *testing.T) {
	parts := say("Content-Type: text/plain\n\n", "hello", "", " again")
	synctest.Test(t, func(t *testing.T) {
		again := func(pace fcgitest.Pace) fcgitest.Script { return fcgitest.Says(pace, fcgitest.HungUp, parts...) }
		ended := func(pace fcgitest.Pace) fcgitest.Script { return fcgitest.Says(pace, fcgitest.Ended, parts...) }
		r := newRig(t, Config{}, again(fcgitest.Unhurried), ended(fcgitest.Unhurried))
		re := r.get("/")
		time.Sleep(time.Second)
		if re.body != "hello" || !strings.Contains(r.log.String(), "cut=true") {
			t.Errorf("%q, %v\n%s", re.body, re.err, r.log)
		}
		r.wantNothingHeld()
		if re := r.get("/"); re.body != "hello again" || re.err != nil {
			t.Errorf("then %q, %v", re.body, re.err)
		}
		r.wantKept(1)
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Says(fcgitest.AtOnce, fcgitest.Ended, parts...))
		if re := r.get("/"); re.body != "hello again" || re.err != nil || !strings.Contains(r.log.String(), "cut=false") {
			t.Errorf("%q, %v\n%s", re.body, re.err, r.log)
		}
		r.wantKept(1)
	})
}

// Early Hints reach a client that can be told, with the application's fields alone, and
// the answer does not have them.
func TestEarlyHints(t *testing.T) {
	answer := func(s *fcgitest.Session, q *fcgitest.Request) {
		s.Send(fcgitest.Out(q.ID, "Status: 103\nLink: </a.css>; rel=preload\nX-Hop: 1\nConnection: x-hop\nX-Sendfile: /etc/passwd\nX-Accel-Redirect: /x\n\n"))
		s.HoldFor(time.Second)
		s.Send(fcgitest.Out(q.ID, "Status: 102\nX-Secret: 1\n\n"+fcgitest.Page), fcgitest.End(q.ID))
	}
	for version, want := range map[string]string{
		"HTTP/1.1": "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n",
		"HTTP/1.0": "HTTP/1.0 200 OK\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{}, fcgitest.Each(answer))
			c := r.raw()
			begun := time.Now()
			io.WriteString(c, "GET / "+version+"\r\nHost: app.test\r\nConnection: close\r\n\r\n")
			first := make([]byte, 9)
			if _, err := io.ReadFull(c, first); err != nil {
				t.Fatal(err)
			}
			if early := time.Since(begun) == 0; early != (version == "HTTP/1.1") {
				t.Errorf("%s: the client hears something after %v", version, time.Since(begun))
			}
			rest, err := io.ReadAll(c)
			got := string(first) + string(rest)
			if err != nil || !strings.HasPrefix(got, want) || strings.Count(got, "Link:") != strings.Count(want, "Link:") || strings.Contains(got, "X-Secret") || strings.Contains(got, "X-Hop") || strings.Contains(got, "X-Sendfile") || strings.Contains(got, "X-Accel") || !strings.HasSuffix(got, fcgitest.PageBody) {
				t.Errorf("%s: %q, %v", version, got, err)
			}
			r.wantKept(1)
		})
	}
}

// An interim header gives the application as much time again.
func TestInterimHeadersGiveTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{Timeouts: TimeoutsConfig{FirstByte: Duration(5 * time.Second)}}}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			for range 3 {
				s.HoldFor(4 * time.Second)
				s.Send(fcgitest.Out(q.ID, "Status: 102 Processing\n\n"))
			}
			if q.Param("REQUEST_URI") == "/silent" {
				s.Hold()
			}
			s.HoldFor(4 * time.Second)
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		}))
		re := r.get("/")
		r.wantPage(re)
		if re.after != 16*time.Second {
			t.Errorf("after %v, want 16s", re.after)
		}
		re = r.get("/silent")
		r.wantError(re, 504, errTimeout)
		if re.after != 17*time.Second {
			t.Errorf("after %v, want 17s", re.after)
		}
		time.Sleep(30 * time.Second) // Timeouts.Abandoned
		r.wantKept(0)
	})
}

// Interim headers count against the limit of the header, so they end.
func TestEndlessInterimHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{SiteConfig: SiteConfig{MaxResponseHeader: 1000}}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			for {
				s.Send(fcgitest.Out(q.ID, "Status: 100\n\n"))
				s.HoldFor(time.Second)
			}
		}))
		r.wantError(r.get("/"), 502, errHeaderSize)
	})
}

// A front that collects answers is not given what it would take for the final status.
func TestEarlyHintsToWhoCollects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Answer("Status: 103\nLink: </a>\n\n"+fcgitest.Page))
		w := &collector{header: make(http.Header)}
		req, _ := http.NewRequest(http.MethodGet, "http://app.test/", nil)
		r.b.ServeHTTP(w, req)
		if len(w.statuses) != 1 || w.statuses[0] != 200 || w.header.Get("Link") != "" {
			t.Errorf("statuses %v, header %v", w.statuses, w.header)
		}
	})
}

// collector is an http.ResponseWriter that can do no more than it must.
type collector struct {
	header   http.Header
	statuses []int
}

func (c *collector) Header() http.Header         { return c.header }
func (c *collector) WriteHeader(status int)      { c.statuses = append(c.statuses, status) }
func (c *collector) Write(p []byte) (int, error) { return len(p), nil }

// The same is told once a minute, and of what differs all the time not without end.
func TestHeaderNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.Send(fcgitest.Out(q.ID, "X "+q.Param("QUERY_STRING")+": a\n\n"), fcgitest.End(q.ID))
		}))
		told := func(want int) {
			t.Helper()
			if n := strings.Count(r.log.String(), "is no field name"); n != want {
				t.Errorf("told %d times, want %d", n, want)
			}
		}
		for i := range 30 {
			r.get(fmt.Sprintf("/?%d", i%2))
			time.Sleep(time.Second)
		}
		told(2)
		time.Sleep(time.Minute)
		for i := range 3 * noticesMax {
			r.get(fmt.Sprintf("/?%d", i))
		}
		told(2 + noticesMax)
		time.Sleep(time.Minute)
		r.get("/?1000")
		told(2 + noticesMax + 1)
	})
}

// What the front has set stays beside lists, and gives way to what can be there once.
func TestHeaderOfTheFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Answer("Vary: Cookie\nServer: app\nX-A: 1\n\nhello"))
		w := &collector{header: http.Header{"Vary": {"Accept-Encoding"}, "Server": {"front"}, "X-B": {"2"}}}
		req, _ := http.NewRequest(http.MethodGet, "http://app.test/", nil)
		r.b.ServeHTTP(w, req)
		if got := fmt.Sprint(w.header["Vary"], w.header["Server"], w.header["X-A"], w.header["X-B"]); got != "[Accept-Encoding Cookie] [app] [1] [2]" {
			t.Errorf("header %v", w.header)
		}
	})
}
