package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/app"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// Whoever keeps the processes knows routes in a plain queue, too.
func TestSupervisorIsTold(t *testing.T) {
	for _, lanes := range []Switch{On, Off} {
		t.Run(string(lanes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: lanes}}, fcgitest.AnswerAfter(time.Second, fcgitest.Page))
				get := r.start("GET", "/item/17?id=1", nil)
				k.want(t, "wanted")
				time.Sleep(time.Second / 2)
				want := []supervise.Request{{Method: "GET", Path: "/item/*", Route: "GET any /item/*?id", Age: time.Second / 2}}
				if got := k.cfg.Front.InFlight(fakeInstance); !slices.Equal(got, want) {
					t.Errorf("in flight are %+v, want %+v", got, want)
				}
				if got := k.cfg.Front.InFlight("unix:/run/other.sock"); len(got) > 0 {
					t.Errorf("in flight elsewhere are %+v", got)
				}
				if got := k.cfg.Front.Load(); got != (supervise.Load{InFlight: 1}) {
					t.Errorf("load is %+v", got)
				}
				r.wantPage(get())
				k.want(t, "answered unix:/run/app.sock GET any /item/*?id")
			})
		})
	}
}

// Who waits for a connection waits, whatever the gate makes of it.
func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 2, Spawn: &SpawnConfig{MaxInstances: 2}}}, fcgitest.AnswerAfter(time.Second, fcgitest.Page))
		var gets []func() reply
		for range 5 { // of the four workers that there may be there are two
			gets = append(gets, r.start("GET", "/", nil))
		}
		if got := k.cfg.Front.Load(); got != (supervise.Load{InFlight: 2, Waiting: 3}) {
			t.Errorf("load is %+v", got)
		}
		for _, get := range gets {
			r.wantPage(get())
		}
	})
}

// It is told of an answer when that begins.
func TestSupervisorIsToldOfTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := newSpawnedRig(t, Config{}, fcgitest.Ticks(5, time.Minute/2))
		get := r.start("GET", "/ticks", nil)
		k.want(t, "wanted", "answered unix:/run/app.sock GET any /ticks")
		if re := get(); re.err != nil {
			t.Error(re.err)
		}
		k.want(t)
	})
}

// A connection that ends under a request may be what is seen of a death.
func TestSupervisorIsToldOfTheLost(t *testing.T) {
	const wanted, answered = "wanted", "answered unix:/run/app.sock GET any /x"
	lost := func(after string) string { return "lost unix:/run/app.sock GET /x GET any /x " + after }
	for name, tc := range map[string]struct {
		script fcgitest.Script
		told   []string
	}{
		"before the header":            {fcgitest.EOFBeforeHeader, []string{wanted, lost("0s")}},
		"in the header":                {fcgitest.EOFInHeader, []string{wanted, lost("0s")}},
		"in the body":                  {fcgitest.EOFInBody, []string{wanted, answered, lost("0s")}},
		"in a stream":                  {cutStream, []string{wanted, answered, lost("1s")}},
		"ended properly":               {fcgitest.CloseAfterEnd, []string{wanted, answered}},
		"after the whole length":       {fcgitest.Says(fcgitest.Unhurried, fcgitest.HungUp, "Content-Length: 2\n\n", "ok"), []string{wanted, answered}},
		"the same at once":             {fcgitest.Says(fcgitest.AtOnce, fcgitest.HungUp, "Content-Length: 2\n\n", "ok"), []string{wanted, answered}},
		"after the end of STDOUT":      {fcgitest.Says(fcgitest.Unhurried, fcgitest.ClosedOut, "X-A: b\n\n", "ok"), []string{wanted, answered}},
		"turned away":                  {fcgitest.AcceptThenClose, []string{wanted}},
		"overloaded":                   {fcgitest.Refuse(2), []string{wanted}},
		"no answer in time":            {fcgitest.SilentForever, []string{wanted}},
		"no FastCGI":                   {fcgitest.BadVersion, []string{wanted}},
		"ended without a header":       {fcgitest.EndWithoutStdout, []string{wanted}},
		"a header that is none of CGI": {fcgitest.Answer("nonsense\n\n"), []string{wanted}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, k := newSpawnedRig(t, Config{}, tc.script)
				r.get("/x")
				k.want(t, tc.told...)
			})
		})
	}
}

// What a local redirect leads to may be what the application died of, as any request may.
func TestSupervisorIsToldOfTheLostTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := newSpawnedRig(t, Config{}, fcgitest.Once(func(s *fcgitest.Session, q *fcgitest.Request) {
			if q.Param("REQUEST_URI") == "/x" {
				s.Send(fcgitest.Out(q.ID, "Location: /y\n\n"), fcgitest.Record(fcgitest.Stdout, q.ID, nil), fcgitest.End(q.ID))
				s.Request()
			}
		}))
		r.get("/x")
		const lost = "lost unix:/run/app.sock GET /y GET any /y 0s"
		k.want(t, "wanted", "answered unix:/run/app.sock GET any /x", "wanted", lost, lost)
	})
}

var cutStream = fcgitest.Once(func(s *fcgitest.Session, q *fcgitest.Request) {
	s.Send(fcgitest.Out(q.ID, fcgitest.Page))
	s.HoldFor(time.Second)
})

// Requests that share a connection are lost together.
func TestSupervisorIsToldOfTheLostTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Multiplex: On, Workers: 4}}, fcgitest.MuxDies(0))
		var gets []func() reply
		for _, path := range []string{"/a", "/b", "/c"} {
			gets = append(gets, r.start("GET", path, nil))
		}
		for _, get := range gets {
			get()
		}
		synctest.Wait()
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, path := range []string{"/a", "/b", "/c"} {
			if want := "lost unix:/run/app.sock GET " + path + " GET any " + path + " 1ms"; !slices.Contains(k.told, want) {
				t.Errorf("was told %q, want %q", k.told, want)
			}
		}
	})
}

// A worker that nobody waits for any more is part of what was in flight.
func TestSupervisorIsToldOfTheAbandoned(t *testing.T) {
	for name, tc := range map[string]struct {
		script fcgitest.Script
		told   string
	}{
		"lost":     {fcgitest.Once(func(s *fcgitest.Session, _ *fcgitest.Request) { s.HoldFor(5 * time.Second) }), "lost unix:/run/app.sock GET /x GET any /x 5s"},
		"answered": {fcgitest.AnswerAfter(5*time.Second, fcgitest.Page), "answered unix:/run/app.sock GET any /x"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, k := newSpawnedRig(t, Config{}, tc.script)
				r.startLeaving("GET", "/x", nil)()
				k.want(t, "wanted")
				time.Sleep(5 * time.Second)
				k.want(t, tc.told)
			})
		})
	}
}

// Stalls are its business: it may end a hung application.
func TestSupervisorIsToldOfStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		script := fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			s.HoldFor(10 * time.Millisecond)
			if hangs.Load() {
				s.HoldFor(30 * time.Second)
			}
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		})
		r, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Lanes: On, Workers: 8}, SiteConfig: SiteConfig{Client: ClientConfig{Key: "off"}}}, script)
		for range 20 {
			r.wantPage(r.get("/page"))
			r.wantPage(r.get("/list"))
		}
		hangs.Store(true)
		var stuck []func() reply
		for range 8 {
			stuck = append(stuck, r.start("GET", "/page", nil), r.start("GET", "/list", nil))
		}
		time.Sleep(5 * time.Second)
		hangs.Store(false)
		for _, get := range stuck {
			get()
		}
		synctest.Wait()
		k.mu.Lock()
		defer k.mu.Unlock()
		began := slices.IndexFunc(k.told, func(s string) bool { return strings.HasPrefix(s, "stalled for ") })
		if over := slices.Index(k.told, "stall over"); began < 0 || over < began {
			t.Errorf("was told %q", k.told)
		}
	})
}

// The processes are the last to go, and part of what is shown.
func TestSupervisorOfABridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := newSpawnedRig(t, Config{}, fcgitest.AnswerAfter(time.Second, fcgitest.Page))
		if s := r.b.Snapshot(); s.Processes == nil || s.Processes.Command != "./app.fcgi" {
			t.Errorf("the snapshot has %+v", s.Processes)
		}
		if err := r.b.Application().Restart(t.Context()); err != nil {
			t.Error(err)
		}
		k.want(t, "restart")
		get := r.start("GET", "/", nil)
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			r.b.Close()
		}()
		k.want(t, "wanted")
		r.wantPage(get())
		<-closed
		k.want(t, "answered unix:/run/app.sock GET any /", "close")
		r.b.Close()
		k.want(t)
	})
}

// An application that runs already is nobody's to restart.
func TestNothingSpawned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{}, fcgitest.Hello)
		if err := r.b.Application().Restart(t.Context()); !errors.Is(err, ErrNotSpawned) {
			t.Errorf("Restart: %v", err)
		}
		text, err := json.Marshal(r.b.Snapshot())
		if err != nil || strings.Contains(string(text), "processes") {
			t.Errorf("%s, %v", text, err)
		}
	})
}

func TestSpawnFails(t *testing.T) {
	broken := errors.New("no such luck")
	_, err := New(t.Context(), Config{
		ApplicationConfig: ApplicationConfig{
			Spawn: &SpawnConfig{Command: []string{"./app.fcgi"}},
			Spool: SpoolConfig{Dir: t.TempDir()},
		},
		ApplicationHooks: ApplicationHooks{
			start: func(context.Context, supervise.Config) (app.Supervisor, error) { return nil, broken },
		},
	})
	if !errors.Is(err, broken) || err.Error() != "spawn: no such luck" {
		t.Errorf("New: %v", err)
	}
}

// An instance that is not ready gets a request of its own, past the gate.
func TestReady(t *testing.T) {
	for name, tc := range map[string]struct {
		script fcgitest.Script
		want   string // in the error; "": it is ready
	}{
		"a page":           {fcgitest.Hello, ""},
		"closing after":    {fcgitest.CloseAfterEnd, ""},
		"not found":        {fcgitest.Answer("Status: 404 Not Found\n\n"), ""},
		"a redirect":       {fcgitest.Answer("Location: /login\n\n"), ""},
		"byte by byte":     {fcgitest.ByteAtATime, ""},
		"large":            {fcgitest.Bytes(1 << 20), ""},
		"interim":          {fcgitest.Answer("Status: 103\n\nHTTP/1.1 100 Continue\n\nStatus: 404\n\n"), ""},
		"length, then EOF": {fcgitest.Says(fcgitest.Unhurried, fcgitest.HungUp, "Content-Length: 2\n\n", "ok"), ""},
		"STDOUT, then EOF": {fcgitest.Says(fcgitest.ByteByByte, fcgitest.ClosedOut, "X-A: b\n\n", "ok"), ""},
		"204, then EOF":    {fcgitest.Says(fcgitest.AtOnce, fcgitest.HungUp, "Status: 204\n\n"), ""},
		"interim error":    {fcgitest.Answer("Status: 103\n\nStatus: 500\n\n"), "the answer is 500"},
		"interim alone":    {fcgitest.Answer("Status: 103\n\n"), "before its header did"},
		"an error":         {fcgitest.Answer("Status: 500 Oops\n\n"), "the answer is 500"},
		"unavailable":      {fcgitest.Answer("Status: 503 Later\n\n"), "the answer is 503"},
		"no answer":        {fcgitest.EOFBeforeHeader, "unexpected EOF"},
		"header, then EOF": {fcgitest.Says(fcgitest.AtOnce, fcgitest.HungUp, "X-A: b\n\n"), "unexpected EOF"},
		"half an answer":   {fcgitest.EOFInBody, "unexpected EOF"},
		"no header":        {fcgitest.EndWithoutStdout, "before its header did"},
		"a large header":   {fcgitest.HugeHeader(1 << 20), "max_response_header"},
		"a bad header":     {fcgitest.Answer("nonsense\n\n"), "nonsense"},
		"overloaded":       {fcgitest.Refuse(2), "OVERLOADED"},
		"not FastCGI":      {fcgitest.BadVersion, "version"},
		"silence":          {fcgitest.SilentForever, "the start took too long"},
		"nothing is read":  {fcgitest.ReadsNothing, "the start took too long"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Spawn: &SpawnConfig{Ready: "/ready?deep=1"}}}, tc.script)
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("the start took too long"))
				defer cancel()
				err := k.cfg.Ready(ctx, fakeInstance)
				if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
					t.Errorf("%v, want %q", err, tc.want)
				}
				k.want(t) // it is no request
				if s := r.gate(); len(s.Routes) > 0 {
					t.Errorf("the gate knows %+v", s.Routes)
				}
			})
		})
	}
}

// What is asked for is made as every request is.
func TestReadyRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan *fcgitest.Request, 1)
		_, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Spawn: &SpawnConfig{Ready: "/wiki/ready?deep=1"}}, SiteConfig: SiteConfig{Mount: "/wiki", Env: map[string]string{"TRAC_ENV": "/srv/trac"}}},
			fcgitest.Once(func(s *fcgitest.Session, q *fcgitest.Request) {
				asked <- q
				s.Send(fcgitest.Good(q.ID))
			}))
		if err := k.cfg.Ready(t.Context(), fakeInstance); err != nil {
			t.Fatal(err)
		}
		q := <-asked
		for name, want := range map[string]string{
			"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/wiki", "PATH_INFO": "/ready", "QUERY_STRING": "deep=1", "TRAC_ENV": "/srv/trac", "HTTP_HOST": "localhost",
		} {
			if got := q.Param(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	})
}

// Without a path to ask for, it is supervise that finds out.
func TestReadyIsOptional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, k := newSpawnedRig(t, Config{}, fcgitest.Hello)
		if k.cfg.Ready != nil {
			t.Error("there is a way to ask, and nothing to ask for")
		}
	})
}

// The connection fails as dialling says.
func TestReadyWithoutAnInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		_, k := newSpawnedRig(t, Config{
			ApplicationConfig: ApplicationConfig{Spawn: &SpawnConfig{Ready: "/"}},
			ApplicationHooks: ApplicationHooks{
				dial: func(context.Context, string, string) (net.Conn, error) { return nil, refused },
			},
		})
		if err := k.cfg.Ready(t.Context(), fakeInstance); !errors.Is(err, refused) {
			t.Error(err)
		}
		if err := k.cfg.Front.Add("nowhere", nil); err == nil {
			t.Error("an address that is none was added")
		}
	})
}

// Before its processes are started nothing is known of them, and they are started once.
func TestNotStartedYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		starts := 0
		cfg := ApplicationConfig{Spawn: &SpawnConfig{Command: []string{"./app.fcgi"}}, Spool: SpoolConfig{Dir: t.TempDir()}}
		var hooks ApplicationHooks
		hooks.start = func(_ context.Context, c supervise.Config) (app.Supervisor, error) {
			if starts++; starts == 1 {
				return nil, errors.New("not today")
			}
			return &fakeSupervisor{cfg: c}, nil
		}
		b, err := NewApplication(cfg, hooks)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := b.Restart(t.Context()); !errors.Is(err, ErrNotStarted) || !b.Spawned() {
			t.Errorf("Restart: %v", err)
		}
		if s := b.Snapshot().Processes; s == nil || s.Command != "./app.fcgi" || len(s.Instances) != 0 {
			t.Errorf("the snapshot has %+v", s)
		}
		if err := b.Start(t.Context()); err == nil || err.Error() != "spawn: not today" {
			t.Errorf("Start: %v", err)
		}
		for range 2 {
			if err := b.Start(t.Context()); err != nil {
				t.Errorf("Start: %v", err)
			}
		}
		if err := b.Restart(t.Context()); err != nil || starts != 2 {
			t.Errorf("Restart: %v, %d starts", err, starts)
		}
	})
}

// What New has started ends with it if its context does.
func TestNewIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	began := time.Now()
	time.AfterFunc(50*time.Millisecond, func() { cancel(stopped) })
	h, err := New(ctx, Config{ApplicationConfig: ApplicationConfig{Spawn: &SpawnConfig{Command: []string{"sleep", "1000"}}}})
	if err == nil {
		h.Close()
	}
	if !errors.Is(err, stopped) || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
