package main

import (
	"bytes"
	"net"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/internal/framing"
)

func textAccessLog(to *bytes.Buffer, format config.AccessFormat) *accessLog {
	a := newAccessLog(to, format)
	a.lines.Load().text.now = func() time.Time { return time.Date(2026, 5, 4, 12, 0, 7, 0, time.FixedZone("", 2*60*60)) }
	return a
}

func TestAccessLogText(t *testing.T) {
	r := httptest.NewRequest("GET", "/wiki?a=b", nil)
	r.Header.Set("Referer", "http://example.org/")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11)")
	const common = `192.0.2.1 - jane [04/May/2026:12:00:07 +0200] "GET /wiki?a=b HTTP/1.1" 200 5`
	for format, want := range map[config.AccessFormat]string{
		config.AccessCommon:   common + "\n",
		config.AccessCombined: common + ` "http://example.org/" "Mozilla/5.0 (X11)"` + "\n",
	} {
		var log bytes.Buffer
		textAccessLog(&log, format).observe("", r, &bridge.Outcome{Client: "192.0.2.1", User: "jane", Status: 200, BytesOut: 5})
		if log.String() != want {
			t.Errorf("%s: %q, want %q", format, log.String(), want)
		}
	}
	var log bytes.Buffer
	a := textAccessLog(&log, config.AccessCombined)
	a.static(httptest.NewRequest("HEAD", "/style.css", nil), "2001:db8::1", 304, 0)
	a.malformed(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 1}, &framing.Error{Line: "GET / \"HTTP/1.1\r\x00", Status: 400, Reason: "x"}, 12)
	const want = `2001:db8::1 - - [04/May/2026:12:00:07 +0200] "HEAD /style.css HTTP/1.1" 304 - "-" "-"` + "\n" +
		`192.0.2.7 - - [04/May/2026:12:00:07 +0200] "GET / \"HTTP/1.1\x0d\x00" 400 12 "-" "-"` + "\n"
	if log.String() != want {
		t.Errorf("%s", log.String())
	}
}

// combinedLine is how programs that read the format take a line apart.
var combinedLine = regexp.MustCompile(`^(\S+) - (\S+) \[([^\]\[]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"\n$`)

// No field can end its line, pass for another field, or reach a terminal with a control character:
// every byte, alone and between others, in every place.
func FuzzAccessLogText(f *testing.F) {
	for c := range 256 {
		f.Add(string([]byte{byte(c)}))
	}
	f.Add("x\" 200 5 \"-\" \"-\"\n127.0.0.1 - root [04/May/2026:12:00:07 +0200] \"GET /admin")
	f.Add("\\")
	f.Add("\\\"\\\\\"\r\n\x1b[2J\u202e")
	f.Add("a] b [c")
	f.Fuzz(func(t *testing.T, s string) {
		for place := range 5 {
			l := textLine{client: "192.0.2.1", user: "jane", request: "GET / HTTP/1.1", status: 200, bytes: 1, referer: "r", userAgent: "u"}
			*[]*string{&l.client, &l.user, &l.request, &l.referer, &l.userAgent}[place] = "a" + s + "z"
			var log bytes.Buffer
			w := textAccessLog(&log, config.AccessCombined)
			w.lines.Load().text.write(&l)
			line := log.String()
			m := combinedLine.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("place %d: %q", place, line)
			}
			fields := []string{m[1], m[2], m[4], m[7], m[8]}
			for i, want := range []string{"192.0.2.1", "jane", "GET / HTTP/1.1", "r", "u"} {
				if i != place && fields[i] != want {
					t.Errorf("place %d: field %d is %q in %q", place, i, fields[i], line)
				}
			}
			if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("place %d: %q", place, line)
			}
		}
	})
}
