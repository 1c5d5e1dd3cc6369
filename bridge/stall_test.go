package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// An application that stops answering is reported once, with what was in flight, and
// once again when it answers; meanwhile clients are told, and it is left alone.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var frozen atomic.Pointer[chan struct{}] // nil: it is not
		var told []admission.Stall
		cfg := Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 8}, SiteConfig: SiteConfig{Client: ClientConfig{Key: "cookie sid"}}, BackendHooks: BackendHooks{OnStall: func(s admission.Stall) { told = append(told, s) }}}
		r := newRig(t, cfg, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			if until := frozen.Load(); until != nil {
				<-*until
			}
			s.HoldFor(10 * time.Millisecond)
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		}))
		for range 20 {
			r.wantPage(r.ask("GET", "/page?id=hidden", "Cookie", "sid=0"))
			r.wantPage(r.ask("GET", "/list?id=hidden", "Cookie", "sid=0"))
		}
		thaw := make(chan struct{})
		end := sync.OnceFunc(func() {
			frozen.Store(nil)
			close(thaw)
		})
		defer end()
		frozen.Store(&thaw)
		begun := time.Now()
		var stuck []func() reply
		for i := range 8 {
			stuck = append(stuck, r.startAsking("GET", "/page?id=hidden", "Cookie", fmt.Sprintf("sid=secret%d", i)))
			stuck = append(stuck, r.startAsking("GET", "/list?id=hidden", "Cookie", fmt.Sprintf("sid=secret%d", i)))
		}
		time.Sleep(4 * time.Second)
		if s := r.gate(); s.Stall.State != "stalled" || s.InUse > 8 {
			t.Errorf("%+v, %d slots in use, want a stall", s.Stall, s.InUse)
		}
		warnings := r.linesWith("the application answers nobody")
		if len(warnings) != 1 {
			t.Fatalf("%d reports:\n%s", len(warnings), r.log)
		}
		for _, want := range []string{"count=", "GET /page ", " short client key ", " at unix:/run/app.sock"} {
			if !strings.Contains(warnings[0], want) {
				t.Errorf("the report lacks %q: %s", want, warnings[0])
			}
		}
		if strings.Contains(warnings[0], "hidden") || strings.Contains(warnings[0], "secret") {
			t.Errorf("the report shows queries or cookies: %s", warnings[0])
		}
		end()
		lasted := time.Since(begun)
		for _, s := range stuck {
			if re := s(); re.status != 200 && re.status != 503 {
				t.Errorf("%+v", re)
			}
		}
		again := r.linesWith("the application answers again")
		if len(again) != 1 {
			t.Fatalf("%d reports of the end:\n%s", len(again), r.log)
		}
		_, length, _ := strings.Cut(again[0], "stalled_for=")
		if d, err := time.ParseDuration(strings.TrimSpace(length)); err != nil || d < lasted || d > lasted+time.Second {
			t.Errorf("%q, want %v at least", again[0], lasted)
		}
		r.wantPage(r.ask("GET", "/page", "Cookie", "sid=0"))
		if len(told) != 2 || !told[0].Ended.IsZero() || len(told[0].Held) == 0 || !told[1].Began.Equal(told[0].Began) || told[1].Ended.IsZero() {
			t.Errorf("told %+v, want its begin and its end", told)
		}
	})
}

func (r *rig) linesWith(text string) (lines []string) {
	synctest.Wait()
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// manyInFlight is what a large application may have in flight.
func manyInFlight(n int) (held []admission.InFlight) {
	for i := range n {
		held = append(held, admission.InFlight{
			Method: "GET", Path: fmt.Sprintf("/%d/%s", i, strings.Repeat("é", 200)), Instance: "unix:/run/app.sock",
			ClientKey: uint64(i), Age: 1500 * time.Millisecond, Lane: admission.Mixed,
		})
	}
	return held
}

// A report is of bounded length, and both kinds of log show it.
func TestStallReport(t *testing.T) {
	var text, lines bytes.Buffer
	b := new(backend)
	b.hooks.Logger = slog.New(slog.NewTextHandler(&text, nil))
	b.logStall(admission.Stall{Began: time.Now(), Held: manyInFlight(25)})
	b.hooks.Logger = slog.New(slog.NewJSONHandler(&lines, nil))
	b.logStall(admission.Stall{Began: time.Now(), Held: manyInFlight(25)})

	if n := strings.Count(text.String(), "GET /"); n != stallLines || !strings.Contains(text.String(), `and="5 more"`) || strings.ContainsRune(text.String(), '\uFFFD') {
		t.Errorf("%d requests: %s", n, &text)
	}
	if want := "mixed client key " + admission.ClientKeyName(1) + " at unix:/run/app.sock"; !strings.Contains(text.String(), want) {
		t.Errorf("lacks %q: %s", want, &text)
	}
	var got struct {
		Count    int    `json:"count"`
		And      string `json:"and"`
		InFlight []struct {
			Method, Path, Lane, Instance string
			ClientKey                    string  `json:"client_key"`
			Age                          float64 `json:"age_s"`
		} `json:"in_flight"`
	}
	if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Count != 25 || got.And != "5 more" || len(got.InFlight) != stallLines {
		t.Fatalf("%s", &lines)
	}
	if f := got.InFlight[1]; f.Method != "GET" || !strings.HasPrefix(f.Path, "/1/é") || len(f.Path) > stallPath+3 || f.Lane != "mixed" ||
		f.ClientKey != admission.ClientKeyName(1) || f.Instance != "unix:/run/app.sock" || f.Age != 1.5 {
		t.Errorf("%+v", f)
	}
	if got.InFlight[0].ClientKey != "" {
		t.Errorf("nobody is called %q", got.InFlight[0].ClientKey)
	}
}
