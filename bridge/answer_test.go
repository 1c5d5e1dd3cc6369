package bridge

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// EOF after any byte of a good answer: the client never takes what it got for
// complete, and always what is, from the end of STDOUT on.
func TestEOFAnywhere(t *testing.T) {
	for n := range len(fcgitest.Good(1)) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{}, fcgitest.EOFAt(n))
			if re := r.get("/"); n < endOfStdout {
				r.wantError(re, 502, errIncomplete)
			} else {
				r.wantPage(re)
			}
			r.wantKept(0)
		})
		if t.Failed() {
			t.Fatalf("EOF after %d bytes", n)
		}
	}
}

// endOfStdout is where STDOUT has ended in fcgitest.Good: STDERR and END_REQUEST follow.
var endOfStdout = len(fcgitest.Good(1)) - 8 - 16

// The same where the client has been sent the header before the EOF comes.
func TestLateEOFAnywhere(t *testing.T) {
	answer := slices.Concat(fcgitest.Out(1, fcgitest.Page), fcgitest.Record(fcgitest.Stdout, 1, nil), fcgitest.End(1))
	ended := len(answer) - 16
	header := ended - 8 - len(fcgitest.PageBody)
	for n := header; n < len(answer); n++ {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{}, fcgitest.Once(func(s *fcgitest.Session, _ *fcgitest.Request) {
				s.Send(answer[:n])
				s.HoldFor(time.Second)
			}))
			if re := r.get("/"); n < ended {
				r.wantAborted(re, errIncomplete)
			} else {
				r.wantPage(re)
			}
			time.Sleep(time.Second) // the application may end later than its answer
			r.wantKept(0)
		})
		if t.Failed() {
			t.Fatalf("EOF after %d bytes", n)
		}
	}
}

// Every record may arrive in any two parts.
func TestRecordsSplitAnywhere(t *testing.T) {
	for n := 1; n < len(fcgitest.Good(1)); n++ {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{}, fcgitest.SplitAt(n))
			r.wantPage(r.get("/"))
			r.wantKept(1)
		})
		if t.Failed() {
			t.Fatalf("split after %d bytes", n)
		}
	}
}

// The application's Content-Length against what it sends, at once and slowly.
func TestContentLengthOfTheAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		length   int
		complete bool
		body     string
	}{
		"true":      {10, true, "0123456789"},
		"too small": {4, true, "0123"}, // with a warning in the log
		"too large": {11, false, ""},
		"zero":      {0, true, ""},
	} {
		for speed, pause := range map[string]time.Duration{"at once": 0, "slowly": time.Second} {
			t.Run(name+"/"+speed, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, Config{}, fcgitest.Each(func(s *fcgitest.Session, r *fcgitest.Request) {
						s.Send(fcgitest.Out(r.ID, fmt.Sprintf("Content-Length: %d\n\n", tc.length)))
						for _, part := range []string{"01234", "56789"} {
							s.HoldFor(pause)
							s.Send(fcgitest.Out(r.ID, part))
						}
						s.Send(fcgitest.End(r.ID))
					}))
					re := r.get("/")
					if complete := re.status == http.StatusOK && re.err == nil; complete != tc.complete {
						t.Fatalf("reply %d %q, %v", re.status, re.body, re.err)
					}
					if tc.complete && re.body != tc.body {
						t.Errorf("body %q, want %q", re.body, tc.body)
					}
					time.Sleep(2 * time.Second) // the client may have had all it was promised before the end
					if o := r.outcome(); !tc.complete && string(o.ErrorType) != errIncomplete {
						t.Errorf("outcome %+v", o)
					}
					if warned := strings.Contains(r.log.String(), "more than its Content-Length"); warned != (tc.length < 10) {
						t.Errorf("warned: %v\n%s", warned, r.log)
					}
					kept := 1
					if speed == "slowly" && tc.length < 10 {
						kept = 0 // the client had all it was promised, and what came then was cut off
					}
					r.wantKept(kept)
				})
			})
		}
	}
}

// Answers that have no body, whatever the application sends.
func TestBodylessAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		method, answer string
		status         int
		length         string // Content-Length, as the client sees it
	}{
		"HEAD":                 {"HEAD", "Content-Type: text/plain\n\n", 200, ""},
		"HEAD, length":         {"HEAD", "Content-Length: 10\n\n", 200, "10"},
		"HEAD, length and all": {"HEAD", "Content-Length: 10\n\n0123456789", 200, "10"},
		"HEAD, body":           {"HEAD", "Content-Type: text/plain\n\n0123456789", 200, ""},
		"204":                  {"GET", "Status: 204\n\n", 204, ""},
		"204, length and body": {"GET", "Status: 204\nContent-Length: 3\n\nabc", 204, ""},
		"304":                  {"GET", "Status: 304 Not Modified\nETag: x\n\n", 304, ""},
		"304, body":            {"GET", "Status: 304\n\nabc", 304, ""},
	} {
		for speed, pause := range map[string]time.Duration{"at once": 0, "slowly": time.Second} {
			t.Run(name+"/"+speed, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, Config{}, fcgitest.Each(func(s *fcgitest.Session, r *fcgitest.Request) {
						if r.Param("REQUEST_URI") == "/page" {
							s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
							return
						}
						header, body, _ := strings.Cut(tc.answer, "\n\n")
						s.Send(fcgitest.Out(r.ID, header+"\n\n"))
						s.HoldFor(pause)
						s.Send(fcgitest.Out(r.ID, body), fcgitest.End(r.ID))
					}))
					re := r.do(tc.method, "/", nil)
					if re.status != tc.status || re.body != "" || re.err != nil || re.header.Get("Content-Length") != tc.length {
						t.Errorf("reply %d %q, %v, %v, want %d", re.status, re.body, re.err, re.header, tc.status)
					}
					r.wantPage(r.get("/page"))  // nothing is left over on the client's connection
					time.Sleep(2 * time.Second) // the application may end later than its answer
					kept := 1
					if pause > 0 && strings.HasSuffix(tc.answer, "\n\n") {
						kept = 2 // the page took another; one that says more is cut off
					}
					r.wantKept(kept)
				})
			})
		}
	}
}

// Without a Content-Type net/http must not guess one: the application might have
// left it out for a reason, and sniffing makes a page of a download.
func TestNoContentType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Answer("X-A: 1\n\n<html><script>alert(1)</script></html>"))
		if re := r.get("/"); re.header["Content-Type"] != nil {
			t.Errorf("Content-Type %q", re.header["Content-Type"])
		}
	})
}

// An answer that comes at once has a length, so that the client can tell where it
// ends without chunks.
func TestLengthIsAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Hello)
		re := r.get("/")
		r.wantPage(re)
		if got, want := re.header.Get("Content-Length"), fmt.Sprint(len(fcgitest.PageBody)); got != want {
			t.Errorf("Content-Length %q, want %s", got, want)
		}
	})
}

// 130 MB of STDERR go to the log at a bounded rate, and into no memory.
func TestStderrFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 130 << 20
		r := newRig(t, Config{}, fcgitest.StderrFlood(size))
		before := allocated()
		re := r.get("/flood")
		grown := int64(allocated()) - int64(before)
		r.wantPage(re)
		if grown > 16<<20 {
			t.Errorf("the heap grew by %d bytes", grown)
		}
		r.b.Close()
		lines := strings.Count(r.log.String(), `msg="application stderr"`)
		if lines < 500 || lines > 1000 || len(r.log.String()) > 1<<20 {
			t.Errorf("%d lines, %d bytes in the log, want about 500", lines, len(r.log.String()))
		}
		if !strings.Contains(r.log.String(), "lines left out") || !strings.Contains(r.log.String(), "path=/flood") {
			t.Error("the log does not tell what was left out, or whose it was")
		}
	})
}

// allocated returns the size of the live heap, in bytes.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// STDERR goes to the log line by line, also where lines cross records; it cannot
// forge log lines.
func TestStderrLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Each(func(s *fcgitest.Session, r *fcgitest.Request) {
			s.Send(fcgitest.Record(fcgitest.Stderr, r.ID, []byte("PHP Warning: on")))
			s.Send(fcgitest.Record(fcgitest.Stderr, r.ID, []byte("e\r\ntwo\x1b[31m\nwithout an end")))
			s.Send(fcgitest.Out(r.ID, fcgitest.Page), fcgitest.End(r.ID))
		}))
		r.wantPage(r.get("/a%22b"))
		for _, line := range []string{`line="PHP Warning: one"`, `line="two\x1b[31m"`, `line="without an end"`, `path="/a\"b"`} {
			if !strings.Contains(r.log.String(), line) {
				t.Errorf("no %s in the log:\n%s", line, r.log)
			}
		}
	})
}
