package bridge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// overfull has one worker, which is busy for ten seconds, and room for nobody else.
func overfull(t *testing.T, cfg Config) (r *rig, end func()) {
	t.Helper()
	cfg.Workers = 1
	cfg.Queue.Size, cfg.Queue.LongSize = 1, 1
	r = newRig(t, cfg, slowly(10*time.Second))
	first := r.start("GET", "/poll", nil)
	others := []func() reply{r.start("GET", "/page", nil), r.start("GET", "/poll", nil)}
	return r, func() {
		first()
		for _, o := range others {
			o()
		}
	}
}

func TestRefusalAsText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, end := overfull(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On}, SiteConfig: SiteConfig{LongPoll: []string{"/poll"}}})
		re := r.ask("GET", "/page", "Accept", acceptOfPage)
		r.wantError(re, 503, errLimit)
		if !strings.HasPrefix(re.body, "503 Service Unavailable\n") || re.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%v %q", re.header, re.body)
		}
		if o := r.outcome(); string(o.Refused) != "full" || o.Lane != "unknown" || o.Queued != 0 || o.Attempts != 0 {
			t.Errorf("outcome %+v", o)
		}
		end()
	})
}

func TestRefusalAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, end := overfull(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On}, SiteConfig: SiteConfig{LongPoll: []string{"/poll"}}})
		re := r.ask("GET", "/page", "Accept", acceptOfJQuery)
		var got struct {
			Status     int    `json:"status"`
			Error      string `json:"error"`
			Reason     string `json:"reason"`
			RetryAfter int    `json:"retry_after"`
		}
		if err := json.Unmarshal([]byte(re.body), &got); err != nil || re.header.Get("Content-Type") != "application/json" {
			t.Fatalf("%v: %v %q", err, re.header, re.body)
		}
		if got.Status != 503 || got.Error != errLimit || got.Reason != "full" || strconv.Itoa(got.RetryAfter) != re.header.Get("Retry-After") || got.RetryAfter < 1 {
			t.Errorf("%q, Retry-After %q", re.body, re.header.Get("Retry-After"))
		}
		if re.status != 503 || re.header.Get("Proxy-Status") != "sluice; error="+errLimit {
			t.Errorf("%d %v", re.status, re.header)
		}
		end()
	})
}

// Other errors are JSON, too, for who wants it.
func TestErrorAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.EOFBeforeHeader)
		re := r.ask("GET", "/", "Accept", "application/json")
		if want := `{"status":502,"error":"http_response_incomplete"}` + "\n"; re.status != 502 || re.body != want {
			t.Errorf("%d %q, want %q", re.status, re.body, want)
		}
	})
}

// A poll is parked, and then refused or answered as the operator likes.
func TestRefusedPolls(t *testing.T) {
	empty := PollAnswer{Status: 200, ContentType: "application/json", Body: "[]"}
	for name, tc := range map[string]struct {
		answer   PollAnswer
		declared []string
		method   string
		path     string
		header   []string
		status   int
		body     string
	}{
		"503":                   {PollAnswer{}, []string{"/poll"}, "GET", "/poll", nil, 503, "503 Service Unavailable"},
		"an empty list":         {empty, []string{"/poll"}, "GET", "/poll", nil, 200, "[]"},
		"nothing":               {PollAnswer{Status: 204}, []string{"/poll"}, "GET", "/poll", nil, 204, ""},
		"HEAD":                  {empty, []string{"/poll"}, "HEAD", "/poll", nil, 200, ""},
		"a page":                {empty, []string{"/poll"}, "GET", "/page", nil, 503, "503 Service Unavailable"},
		"slow, and no poll":     {empty, []string{"/poll"}, "GET", "/page", []string{"Prefer", "wait=9"}, 503, "503 Service Unavailable"},
		"slow, polls not known": {empty, nil, "GET", "/page", []string{"Prefer", "wait=9"}, 200, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{
					ApplicationConfig: ApplicationConfig{
						Lanes:   On,
						Workers: 1,
						Queue:   QueueConfig{LongTimeout: Duration(5 * time.Second)},
					},
					SiteConfig: SiteConfig{LongPoll: tc.declared, PollAnswer: tc.answer},
				}, fcgitest.AnswerAfter(10*time.Second, fcgitest.Page))
				first := r.startAsking("GET", "/poll", "Prefer", "wait=1")
				re := r.ask(tc.method, tc.path, tc.header...)
				if re.status != tc.status || !strings.HasPrefix(re.body, tc.body) || tc.body == "" && re.body != "" {
					t.Errorf("%d %q, want %d %q", re.status, re.body, tc.status, tc.body)
				}
				retry, err := strconv.Atoi(re.header.Get("Retry-After"))
				if err != nil || retry < 1 || re.header.Get("Proxy-Status") != "sluice; error="+errLimit {
					t.Errorf("header %v", re.header)
				}
				if own := tc.status != 503; own != (re.header.Get("Cache-Control") == "no-store") || own && re.header.Get("Content-Type") != tc.answer.ContentType {
					t.Errorf("header %v", re.header)
				}
				if o := r.outcome(); o.Status != tc.status || string(o.Refused) != "timeout" || string(o.ErrorType) != errLimit || o.Aborted {
					t.Errorf("outcome %+v", o)
				}
				r.wantPage(first())
			})
		})
	}
}

// Who comes back too soon is told to stay away for longer.
func TestRetryAfterGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, end := overfull(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On}, SiteConfig: SiteConfig{LongPoll: []string{"/poll"}, Client: ClientConfig{Key: "cookie sid"}}})
		last := 0
		for range 5 {
			last, _ = strconv.Atoi(r.ask("GET", "/page", "Cookie", "sid=1").header.Get("Retry-After"))
			time.Sleep(600 * time.Millisecond) // else it may be another request of the same page
		}
		if last < 8 {
			t.Errorf("Retry-After is %d the fifth time", last)
		}
		end()
	})
}

// The log is told of refusals at once, and then every ten seconds of all there were.
func TestRefusalsInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 1, Queue: QueueConfig{Size: 1, LongSize: 1}}, SiteConfig: SiteConfig{LongPoll: []string{"/poll"}}}, slowly(time.Minute))
		first := r.start("GET", "/poll", nil)
		waiting := r.start("GET", "/page", nil) // until it is told, after 3 s, that this lasts too long
		for range 5 {
			r.ask("GET", "/page")
		}
		r.wantLines("requests refused", "count=1 full=1")
		waiting()
		time.Sleep(10 * time.Second)
		r.wantLines("requests refused", "count=1 full=1", "count=5 full=4 timeout=1")
		time.Sleep(time.Minute)
		r.wantLines("requests refused", "count=1 full=1", "count=5 full=4 timeout=1")
		again := []func() reply{r.start("GET", "/poll", nil), r.start("GET", "/page", nil)}
		r.ask("GET", "/page")
		r.ask("GET", "/page")
		r.wantLines("requests refused", "count=1 full=1", "count=5 full=4 timeout=1", "count=1 full=1")
		if strings.Contains(r.log.String(), "level=WARN msg=\"request failed\"") {
			t.Errorf("each is a warning:\n%s", r.log)
		}
		first()
		for _, a := range again {
			a()
		}
		r.b.Close()
		if n := strings.Count(r.log.String(), "requests refused"); n != 4 {
			t.Errorf("the log was told %d times, want the rest when the bridge closes:\n%s", n, r.log)
		}
	})
}

// wantLines checks what the log's lines with that message go on with.
func (r *rig) wantLines(message string, want ...string) {
	r.t.Helper()
	synctest.Wait()
	var got []string
	for line := range strings.Lines(r.log.String()) {
		if _, rest, ok := strings.Cut(line, fmt.Sprintf("level=WARN msg=%q ", message)); ok {
			rest, _, _ = strings.Cut(rest, " advice=")
			got = append(got, strings.TrimSpace(rest))
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("the log has %q, want %q", got, want)
	}
}

// One account, many places.
func TestAccountSharing(t *testing.T) {
	from := func(r *rig, address, cookie string) reply {
		return r.ask("GET", "/", "X-Forwarded-For", address, "Cookie", cookie)
	}
	rigFor := func(t *testing.T, excess Excess) *rig {
		return newRig(t, Config{
			SiteConfig: SiteConfig{
				TrustedProxies: []string{"192.0.2.1"},
				Client:         ClientConfig{Key: "cookie sid", MaxAddresses: 2, Per: Duration(time.Minute), Excess: excess},
			},
		}, fcgitest.Hello)
	}
	t.Run("refuse", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := rigFor(t, "")
			r.wantPage(from(r, "198.51.100.1", "sid=a"))
			time.Sleep(1500 * time.Millisecond)
			r.wantPage(from(r, "198.51.100.2", "sid=a"))
			re := from(r, "198.51.100.3", "sid=a")
			if re.status != http.StatusTooManyRequests || re.header.Get("Retry-After") != "59" || re.header.Get("Proxy-Status") != "sluice; error=http_request_denied" {
				t.Errorf("%d %v", re.status, re.header)
			}
			if o := r.outcome(); string(o.Refused) != "addresses" || o.Lane != "" || o.Attempts != 0 {
				t.Errorf("outcome %+v", o)
			}
			r.wantPage(from(r, "198.51.100.3", "sid=b"))
			for i := range 5 {
				r.wantPage(from(r, fmt.Sprintf("198.51.100.%d", i), "")) // not an account
			}
			if s := r.b.Snapshot(); s.AddressLimit != (AddressLimitSnapshot{ClientKeys: 2, Refused: 1}) || s.Gate.InUse != 0 {
				t.Errorf("%+v", s.AddressLimit)
			}
			from(r, "198.51.100.4", "sid=a")
			if n := strings.Count(r.log.String(), "a client key is used from more addresses"); n != 1 {
				t.Errorf("the log was told %d times:\n%s", n, r.log)
			}
			time.Sleep(59 * time.Second)
			r.wantPage(from(r, "198.51.100.3", "sid=a"))
		})
	})
	t.Run("evict", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := rigFor(t, Evict)
			for i := range 3 {
				r.wantPage(from(r, fmt.Sprintf("198.51.100.%d", i), "sid=a"))
				time.Sleep(time.Second)
			}
			re := from(r, "198.51.100.0", "sid=a")
			if re.status != http.StatusTooManyRequests || re.header.Get("Retry-After") != "59" {
				t.Errorf("%d %v", re.status, re.header)
			}
			r.wantPage(from(r, "198.51.100.1", "sid=a"))
			if s := r.b.Snapshot().AddressLimit; s != (AddressLimitSnapshot{ClientKeys: 1, Refused: 1, Evicted: 1}) {
				t.Errorf("%+v", s)
			}
		})
	})
}
