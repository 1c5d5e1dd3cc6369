//go:build linux

package caddy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(new(recorder)) }

// recorder is an event handler that hands events to the test.
type recorder struct{}

var recorded = make(chan caddy.Event, 16)

func (*recorder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.recorder", New: func() caddy.Module { return new(recorder) }}
}

func (*recorder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

func (*recorder) Handle(_ context.Context, e caddy.Event) error {
	if strings.HasPrefix(e.Name(), "sluice_") {
		recorded <- e
	}
	return nil
}

// awaitEvent waits for an event and checks its name.
func awaitEvent(t *testing.T, name string) caddy.Event {
	t.Helper()
	select {
	case e := <-recorded:
		if e.Name() != name {
			t.Fatalf("event %s %v, want %s", e.Name(), e.Data, name)
		}
		return e
	case <-time.After(patience):
		t.Fatalf("no event %s", name)
	}
	panic("unreachable")
}

// The begin and the end of a stall are events, also when the configuration was loaded
// again in between.
func TestStallEvents(t *testing.T) {
	var frozen atomic.Bool
	thaw := make(chan struct{})
	a := startApp(t, func(w http.ResponseWriter, r *http.Request) {
		if frozen.Load() {
			<-thaw
		}
		time.Sleep(10 * time.Millisecond) // its work
		echo(w, r)
	})
	directives := fmt.Sprintf("sluice %s {\nworkers 8\nadmission {\nstall_after 500ms\n}\n}", a.addr)
	events := "events {\non sluice_stall_begin recorder\non sluice_stall_end recorder\n}"
	s := start(t, directives, events)
	for range 20 {
		s.get("/page")
		s.get("/list")
	}
	frozen.Store(true)
	var stuck sync.WaitGroup
	for i := range 16 {
		stuck.Go(func() { s.get([]string{"/page", "/list"}[i%2]) })
	}
	begin := awaitEvent(t, "sluice_stall_begin")
	if begin.Data["application"] != a.addr || begin.Data["in_flight"] == 0 {
		t.Errorf("%v", begin.Data)
	}
	s.load("header X-New 1\n"+directives, events)
	frozen.Store(false)
	close(thaw)
	stuck.Wait()
	end := awaitEvent(t, "sluice_stall_end")
	if end.Data["since"] != begin.Data["since"] || end.Data["stalled_for"] == "" {
		t.Errorf("%v, began with %v", end.Data, begin.Data)
	}
	if len(s.logged(`"logger":"http.handlers.sluice"`, "the application answers nobody")) != 1 || len(s.logged(`"logger":"http.handlers.sluice"`, "the application answers again")) != 1 {
		t.Errorf("the log has %v", s.logged("the application answers"))
	}
}

// An instance that goes and comes back is two events.
func TestOutageEvents(t *testing.T) {
	path := filepath.Join(socketDir(t), "app.sock")
	events := "events {\non sluice_instance_down recorder\non sluice_instance_up recorder\n}"
	s := start(t, "sluice unix/"+path, events)
	if re := s.get("/"); re.status != 502 {
		t.Errorf("%+v", re)
	}
	if e := awaitEvent(t, "sluice_instance_down"); e.Data["instance"] != "unix/"+path || e.Data["error"] == "" {
		t.Errorf("%v", e.Data)
	}
	a := startAppAt(t, path, echo)
	s.want(s.get("/"), 200, "GET / ")
	if e := awaitEvent(t, "sluice_instance_up"); e.Data["instance"] != a.addr {
		t.Errorf("%v", e.Data)
	}
}

// An application that cannot be started is given up, and that is an event.
func TestSpawnBudgetEvent(t *testing.T) {
	events := "events {\non sluice_spawn_budget_exhausted recorder\n}"
	s := start(t, "respond up", events)
	s.load("sluice {\nspawn /bin/sleep 0.5 {\nbudget 1 per 10m\n}\n}", events)
	if e := awaitEvent(t, "sluice_spawn_budget_exhausted"); e.Data["application"] != "/bin/sleep" {
		t.Errorf("%v", e.Data)
	}
	if re := s.get("/"); re.status != 503 || re.header.Get("Retry-After") == "" {
		t.Errorf("%+v", re)
	}
	eventually(t, func() error { // or the next test's log has it
		if len(s.logged("the command has ended", "/bin/sleep")) == 0 {
			return errors.New("the log does not say that the command has ended")
		}
		return nil
	})
}
