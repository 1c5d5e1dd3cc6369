package bridge

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// wantUnavailable checks for a refusal on account of the application's processes, who may
// be asked again in 60 s.
func (r *rig) wantUnavailable(re reply, kind, refused, text string) {
	r.t.Helper()
	if re.status != 503 || re.header.Get("Proxy-Status") != "sluice; error="+kind || !strings.Contains(re.body, text) {
		r.t.Errorf("%d %v %q, %v", re.status, re.header, re.body, re.err)
	}
	retry, err := strconv.Atoi(re.header.Get("Retry-After"))
	if err != nil || retry < 61 || retry > 71 {
		r.t.Errorf("Retry-After is %q", re.header.Get("Retry-After"))
	}
	if o := r.outcome(); o.Status != 503 || string(o.ErrorType) != kind || string(o.Refused) != refused || o.Err == nil || o.Aborted {
		r.t.Errorf("outcome %+v", o)
	}
}

const cannotBeStarted = "The application cannot be started at the moment."

// While it is given up nothing is sent to the application, and nobody waits.
func TestRefusedWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		given := 0
		r, k := newSpawnedRig(t, Config{ApplicationHooks: ApplicationHooks{OnGivenUp: func() { given++ }}}, fcgitest.Hello)
		k.refuse(time.Minute)
		if given != 1 {
			t.Errorf("OnGivenUp was called %d times", given)
		}
		re := r.get("/")
		r.wantUnavailable(re, errUnavailable, "down", cannotBeStarted)
		if re.after != 0 {
			t.Errorf("it took %v", re.after)
		}
		if o := r.outcome(); o.Lane != "" || o.Attempts != 0 || o.Instance != "" {
			t.Errorf("outcome %+v", o)
		}
		re = r.ask("GET", "/", "Accept", "application/json")
		r.wantUnavailable(re, errUnavailable, "down", `"reason":"down"`)
		k.want(t) // nobody wants what will not come
		if lines := r.linesWith("requests refused"); len(lines) != 1 || !strings.Contains(lines[0], "count=1 down=1") {
			t.Errorf("the log says %q", lines)
		}
		k.refuse(0)
		r.wantPage(r.get("/"))
	})
}

// A body that nobody will read is not waited for.
func TestRefusedWhileDownBeforeTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := newSpawnedRig(t, Config{}, fcgitest.Hello)
		k.refuse(time.Minute)
		body, upload := io.Pipe()
		defer upload.Close()
		post := r.start("POST", "/", body)
		if o := r.outcome(); string(o.Refused) != "down" || o.BytesIn != 0 {
			t.Errorf("outcome %+v", o)
		}
		upload.Close() // net/http reads some of a body before it sends an answer
		r.wantUnavailable(post(), errUnavailable, "down", cannotBeStarted)
	})
}

// It may be given up while a body comes, while a request waits for a worker, and while
// one has been sent to a socket on which nobody accepts it.
func TestRefusedAsItGoesDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1}}, fcgitest.AnswerAfter(time.Second, fcgitest.Page))
		first := r.start("GET", "/", nil)
		waits := r.start("GET", "/", nil)
		body, upload := io.Pipe()
		uploads := r.start("POST", "/", body)
		k.refuse(time.Minute)
		re := waits()
		r.wantUnavailable(re, errUnavailable, "down", cannotBeStarted)
		if re.after != 0 {
			t.Errorf("it waited for %v", re.after)
		}
		upload.Close()
		r.wantUnavailable(uploads(), errUnavailable, "down", cannotBeStarted)
		re = first()
		r.wantUnavailable(re, errUnavailable, "down", cannotBeStarted)
		if re.after != 0 {
			t.Errorf("it waited for %v", re.after)
		}
	})
}

// A poll gets the operator's answer, so that its client asks again.
func TestPollsWhileDown(t *testing.T) {
	answer := PollAnswer{Status: 200, ContentType: "application/json", Body: "[]"}
	for name, tc := range map[string]struct {
		declared []string
		path     string
		header   []string
		own      bool
	}{
		"declared":            {[]string{"/poll"}, "/poll", nil, true},
		"a page":              {[]string{"/poll"}, "/page", nil, false},
		"slow, and no poll":   {[]string{"/poll"}, "/page", []string{"Prefer", "wait=9"}, false},
		"slow, none declared": {nil, "/page", []string{"Prefer", "wait=9"}, true},
		"none declared":       {nil, "/page", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On}, SiteConfig: SiteConfig{LongPoll: tc.declared, PollAnswer: answer}}, fcgitest.Hello)
				k.refuse(time.Minute)
				re := r.ask("GET", tc.path, tc.header...)
				if own := re.status == 200 && re.body == "[]"; own != tc.own || !own && re.status != 503 {
					t.Errorf("%d %q", re.status, re.body)
				}
				if o := r.outcome(); string(o.Refused) != "down" || string(o.ErrorType) != errUnavailable {
					t.Errorf("outcome %+v", o)
				}
			})
		})
	}
}

// A route in quarantine is refused, and others are not.
func TestRefusedInQuarantine(t *testing.T) {
	for _, lanes := range []Switch{On, Off} {
		t.Run(string(lanes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: lanes}}, fcgitest.Hello)
				k.quarantine("GET any /report/*", time.Minute)
				r.wantUnavailable(r.get("/report/7"), errDenied, "quarantined", "quarantine")
				if lines := r.linesWith("requests refused"); len(lines) != 1 || !strings.Contains(lines[0], "quarantined=1") {
					t.Errorf("the log says %q", lines)
				}
				r.wantPage(r.get("/report"))
				r.wantPage(r.post("/report/7", "x"))
			})
		})
	}
}

// Nor does a local redirect lead there.
func TestRedirectIntoQuarantine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := newSpawnedRig(t, Config{}, fcgitest.Answer("Location: /report/7\n\n"))
		k.quarantine("GET any /report/*", time.Minute)
		r.wantUnavailable(r.get("/start"), errDenied, "quarantined", "quarantine")
	})
}

// A request whose connection died is not sent again to an application that was given up
// over that.
func TestNotSentAgainWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k *fakeSupervisor
		requests := 0
		script := func(s *fcgitest.Session) {
			q := s.Request()
			if requests++; requests == 1 {
				s.Send(fcgitest.Good(q.ID))
				s.Request()
				requests++
			}
			k.mu.Lock()
			k.refusing = time.Minute
			k.mu.Unlock()
		}
		r, kept := newSpawnedRig(t, Config{}, script)
		k = kept
		r.wantPage(r.get("/"))
		r.wantUnavailable(r.get("/"), errUnavailable, "down", cannotBeStarted)
		if o := r.outcome(); requests != 2 || o.Attempts != 1 {
			t.Errorf("%d requests, outcome %+v", requests, o)
		}
	})
}

// Every word that Outcome.Refused may be is in the log's.
func TestRefusedWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := newSpawnedRig(t, Config{}, fcgitest.Hello)
		k.quarantine("GET any /bad", time.Minute)
		r.get("/bad")
		k.refuse(time.Minute)
		for range 3 {
			if re := r.get("/"); re.status != http.StatusServiceUnavailable {
				t.Error(re)
			}
		}
		time.Sleep(refusalsEvery)
		lines := r.linesWith("requests refused")
		if len(lines) != 2 || !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "count=3 down=3") }) {
			t.Errorf("the log says %q", lines)
		}
	})
}
