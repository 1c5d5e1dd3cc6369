package bridge

import (
	"fmt"
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
		cfg := Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 8}, SiteConfig: SiteConfig{Client: ClientConfig{Key: "cookie sid"}}, ApplicationHooks: ApplicationHooks{OnStall: func(s admission.Stall) { told = append(told, s) }}}
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
