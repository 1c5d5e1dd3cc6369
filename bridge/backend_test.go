package bridge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/internal/app"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// office is a backend with two instances, a:1 and b:2, where /wait is answered when
// release is closed. Further sites and instances can be had.
type office struct {
	t       *testing.T
	cfg     Config
	back    *Application
	release chan struct{}
	peers   map[string]*fcgitest.Peer
	log     *logBuffer
}

func openOffice(t *testing.T, cfg Config) *office {
	t.Helper()
	o := &office{t: t, release: make(chan struct{}), peers: make(map[string]*fcgitest.Peer), log: new(logBuffer)}
	for _, addr := range []string{"a:1", "b:2", "c:3"} {
		o.peers[addr] = fcgitest.Start(t, fcgitest.Each(func(s *fcgitest.Session, q *fcgitest.Request) {
			if strings.Contains(q.Param("REQUEST_URI"), "/wait") {
				<-o.release
			}
			s.Send(fcgitest.Out(q.ID, fcgitest.Page), fcgitest.End(q.ID))
		}))
	}
	cfg.dial = func(ctx context.Context, _, addr string) (net.Conn, error) { return o.peers[addr].Dial(ctx) }
	if cfg.Backends == nil {
		cfg.Backends = []string{"a:1", "b:2"}
	}
	cfg.Logger = slog.New(slog.NewTextHandler(o.log, nil))
	cfg.Multiplex, cfg.KeepAlive = Off, On
	cfg.Admission.Unknown = min(2, max(cfg.Workers, 1)) // routes that are not known yet
	cfg.ApplicationConfig.Timeouts.Idle = Duration(time.Hour)
	cfg.Spool.Dir = t.TempDir()
	o.cfg = cfg
	var err error
	if o.back, err = NewApplication(cfg.ApplicationConfig, cfg.ApplicationHooks); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.back.Close() })
	return o
}

func (o *office) site(change func(*Config)) *Handler {
	o.t.Helper()
	cfg := o.cfg
	change(&cfg)
	b, err := o.back.Handler(cfg.SiteConfig, cfg.SiteHooks)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { b.Close() })
	return b
}

func same(*Config) {}

// start makes a request in a goroutine; what it returns waits for the answer.
func (o *office) start(b *Handler, path string, header ...string) func() *httptest.ResponseRecorder {
	w, done := httptest.NewRecorder(), make(chan struct{})
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	go func() {
		defer close(done)
		b.ServeHTTP(w, r)
	}()
	synctest.Wait()
	return func() *httptest.ResponseRecorder {
		<-done
		return w
	}
}

func (o *office) wantPage(b *Handler, path string) {
	o.t.Helper()
	if w := o.start(b, path)(); w.Code != 200 || w.Body.String() != fcgitest.PageBody {
		o.t.Errorf("%s: %d %q", path, w.Code, w.Body)
	}
}

func (o *office) accepted() (n int) {
	for _, p := range o.peers {
		n += p.Accepted()
	}
	return n
}

func (o *office) configure(change func(*Config)) error {
	cfg := o.cfg
	change(&cfg)
	return o.back.Configure(cfg.ApplicationConfig)
}

// Closing a site waits for its own requests, and no longer; the others go on.
func TestSitesCloseAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := openOffice(t, Config{ApplicationConfig: ApplicationConfig{Workers: 2}})
		one, two := o.site(same), o.site(func(c *Config) { c.Mount = "/two" })
		first, second := o.start(one, "/wait"), o.start(two, "/two/wait")
		if s := o.back.Snapshot(); s.InFlight != 2 || one.Snapshot().InFlight != 1 || s.Gate.InUse != 2 || one.Snapshot().Gate.InUse != 2 {
			t.Errorf("in flight %d, of the site %d, in the gate %d", s.InFlight, one.Snapshot().InFlight, s.Gate.InUse)
		}
		idle := o.site(same)
		if err := idle.Close(); err != nil {
			t.Error(err)
		}
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			one.Close()
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("closed with a request in it")
		default:
		}
		if w := o.start(one, "/")(); w.Code != 503 {
			t.Errorf("%d from a site that is closed", w.Code)
		}
		o.wantPage(two, "/two/x")
		close(o.release)
		<-closed
		if w := first(); w.Code != 200 {
			t.Errorf("%d", w.Code)
		}
		if w := second(); w.Code != 200 {
			t.Errorf("%d", w.Code)
		}
		o.wantPage(two, "/two/y")
		if s := o.back.Snapshot(); s.InFlight != 0 || s.Gate.InUse != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Who waits in the gate when its site is closed is served: the others may be long.
func TestWaitsInASiteThatCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := openOffice(t, Config{ApplicationConfig: ApplicationConfig{Workers: 1, Lanes: Off, Backends: []string{"a:1"}}})
		one, two := o.site(same), o.site(same)
		holds, waits := o.start(two, "/wait"), o.start(one, "/")
		go one.Close()
		synctest.Wait()
		close(o.release)
		if w := waits(); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		holds()
	})
}

// The same path of two sites is two routes, and the same name is two users, but not when a
// site comes in the place of another. A client is one, wherever it asks.
func TestSitesAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := openOffice(t, Config{SiteConfig: SiteConfig{Client: ClientConfig{Key: "header X-User"}}})
		root := t.TempDir()
		other := func(c *Config) { c.Root = root }
		asked := func(b *Handler) (string, uint64, uint64) {
			ask := asks(b, requestFor(t, "GET", "/index.php?id=1", "X-User", "admin"))
			if !strings.HasPrefix(ask.Route, ask.Group) || ask.Group == ask.Route {
				t.Errorf("group %q of %q", ask.Group, ask.Route)
			}
			return ask.Route, ask.ClientKey, ask.Address
		}
		for range 2 { // the second time: as after a reload, in another order
			second, first := o.site(same), o.site(other)
			if second.joined.Label != "" {
				second, first = first, second
			}
			route1, flow1, client1 := asked(second)
			route2, flow2, client2 := asked(first)
			if route1 != "GET any /index.php?id" || route2 != "[:"+root+"] GET any /index.php?id" {
				t.Errorf("routes %q and %q", route1, route2)
			}
			if flow1 == flow2 || client1 != client2 {
				t.Errorf("users %x and %x, clients %x and %x", flow1, flow2, client1, client2)
			}
			third, again := o.site(other), o.site(same)
			if r, f, _ := asked(third); r != route2 || f != flow2 {
				t.Errorf("%q, %x in the place of %q, %x", r, f, route2, flow2)
			}
			if r, f, _ := asked(again); r != route1 || f != flow1 {
				t.Errorf("%q, %x in the place of %q, %x", r, f, route1, flow1)
			}
		}
	})
}

// What was known of accounts stays while a site with the same rule is there.
func TestSitesShareAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ruled := func(c *Config) { c.Client.Key, c.Client.MaxAddresses = "cookie sid", 2 }
		o := openOffice(t, Config{})
		one := o.site(ruled)
		two := o.site(ruled)
		one.Close()
		if two.joined.Addresses != one.joined.Addresses {
			t.Error("forgotten with a site that has the same rule")
		}
		if lax := o.site(func(c *Config) { ruled(c); c.Client.MaxAddresses = 3 }); lax.joined.Addresses == two.joined.Addresses {
			t.Error("another rule, and the same table")
		}
		_, _ = two.joined.Addresses.Admit(&admission.Request{ClientKey: 1, Address: 1}, time.Now())
		if s := o.back.Snapshot().AddressLimit; s.ClientKeys != 1 {
			t.Errorf("%+v", s)
		}
		two.Close()
		if three := o.site(ruled); three.joined.Addresses == two.joined.Addresses {
			t.Error("kept for nobody")
		}
	})
}

// long_poll is a site's own.
func TestSitesKnowTheirPolls(t *testing.T) {
	o := openOffice(t, Config{})
	polls, none := o.site(func(c *Config) { c.LongPoll = []string{"/poll"} }), o.site(same)
	for b, long := range map[*Handler]bool{polls: true, none: false} {
		if ask := asks(b, requestFor(t, "GET", "/poll")); ask.Long != long {
			t.Errorf("long: %v, want %v", ask.Long, long)
		}
	}
}

// A change touches nothing but what it changes.
func TestConfigureInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := openOffice(t, Config{ApplicationConfig: ApplicationConfig{Workers: 2}})
		b := o.site(same)
		first, second := o.start(b, "/wait/one"), o.start(b, "/wait/two")
		before, dials := o.back.Snapshot(), o.accepted()
		err := o.configure(func(c *Config) {
			c.Workers, c.Reserve, c.Queue.Size, c.Queue.Timeout = 8, new(3), 7, Duration(5*time.Second)
			c.Spool.Memory = 1 << 20
			c.Logger = nil // means nothing
		})
		if err != nil {
			t.Fatal(err)
		}
		s := o.back.Snapshot()
		if s.Gate.Workers != 16 || s.Gate.Reserve != 3 || s.Pool.Instances[0].Workers != 8 || b.app.app.Patience() != 5*time.Second {
			t.Errorf("%+v", s)
		}
		if s.Gate.InUse != 2 || len(s.Gate.Routes) != len(before.Gate.Routes) || len(s.Gate.Routes) == 0 {
			t.Errorf("%d in the gate, %d routes, %d before", s.Gate.InUse, len(s.Gate.Routes), len(before.Gate.Routes))
		}
		close(o.release)
		first()
		second()
		o.wantPage(b, "/x")
		if n := o.accepted(); n != dials {
			t.Errorf("%d connections, %d before", n, dials)
		}
	})
}

// A backend that is added gets requests; one that is removed ends what it has.
func TestConfigureMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := openOffice(t, Config{ApplicationConfig: ApplicationConfig{Workers: 4}})
		b := o.site(same)
		waits := []func() *httptest.ResponseRecorder{o.start(b, "/wait/one"), o.start(b, "/wait/two")} // one at each
		if err := o.configure(func(c *Config) { c.Backends = []string{"b:2", "c:3"} }); err != nil {
			t.Fatal(err)
		}
		if s := o.states(); s != "b:2 up, c:3 unknown, a:1 draining" {
			t.Error(s)
		}
		if n := o.back.Snapshot().Gate.Workers; n != 8 {
			t.Errorf("the gate has %d workers", n)
		}
		if _, err := b.Application().Drain("a:1"); err == nil {
			t.Error("drained what is configured no more")
		}
		at := len(o.peers["a:1"].Requests())
		for range 8 {
			o.wantPage(b, "/")
		}
		if n := len(o.peers["a:1"].Requests()); n != at {
			t.Errorf("%d requests to the one that was removed", n-at)
		}
		if n := len(o.peers["c:3"].Requests()); n == 0 {
			t.Error("no request to the one that was added")
		}
		close(o.release)
		for _, w := range waits {
			if w := w(); w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		time.Sleep(app.CloseDelay(&o.cfg.ApplicationConfig))
		synctest.Wait()
		if s := o.states(); s != "b:2 up, c:3 up" {
			t.Error(s)
		}
	})
}

// One that comes back while it drains stays, with its connections.
func TestConfigureMemberComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := openOffice(t, Config{ApplicationConfig: ApplicationConfig{Workers: 4}})
		b := o.site(same)
		waits := []func() *httptest.ResponseRecorder{o.start(b, "/wait/one"), o.start(b, "/wait/two")}
		for _, backends := range [][]string{{"b:2"}, {"b:2", "a:1"}, {"b:2"}, {"a:1", "b:2"}} {
			if err := o.configure(func(c *Config) { c.Backends = backends }); err != nil {
				t.Fatal(err)
			}
		}
		close(o.release)
		for _, w := range waits {
			w()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := o.states(); s != "a:1 up, b:2 up" && s != "b:2 up, a:1 up" {
			t.Error(s)
		}
		if n := o.accepted(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
}

func (o *office) states() string {
	var list []string
	for _, in := range o.back.Snapshot().Pool.Instances {
		list = append(list, in.Addr+" "+in.State)
	}
	return strings.Join(list, ", ")
}

// Another way to write an address is the same address.
func TestConfigureSpelling(t *testing.T) {
	o := openOffice(t, Config{ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/run/a"}}})
	for _, spelling := range []string{"unix//run/a", "fcgi+unix:/run/a"} {
		if err := o.configure(func(c *Config) { c.Backends = []string{spelling} }); err != nil {
			t.Fatal(err)
		}
		if s := o.states(); s != "unix:/run/a unknown" {
			t.Error(s)
		}
	}
	if _, err := o.back.Drain("unix//run/a"); err != nil {
		t.Error(err)
	}
}

// What fails changes nothing.
func TestConfigureFails(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
		other  bool // kind
	}{
		"a number":    {func(c *Config) { c.Workers = -1 }, "workers: ", false},
		"an address":  {func(c *Config) { c.Backends = []string{"c:3", "nowhere"} }, "backends: ", false},
		"none":        {func(c *Config) { c.Backends = nil }, "backends: ", false},
		"lanes":       {func(c *Config) { c.Lanes = Off }, "lanes: ", true},
		"protocol":    {func(c *Config) { c.Protocol, c.KeepAlive = SCGI, Auto }, "protocol: ", true},
		"in a scheme": {func(c *Config) { c.Backends, c.KeepAlive = []string{"uwsgi://a:1", "uwsgi://c:3"}, Auto }, "protocol: ", true},
		"two of them": {func(c *Config) { c.Backends = []string{"uwsgi://a:1", "c:3"} }, "backends: ", false},
		"multiplex":   {func(c *Config) { c.Multiplex = On }, "multiplex, keep_alive: ", true},
		"preset":      {func(c *Config) { c.Preset, c.Root = "php", "/" }, "preset: ", true},
		"spawn":       {func(c *Config) { c.Backends, c.Spawn = nil, &SpawnConfig{Command: []string{"x"}} }, "spawn: ", true},
		"a directory": {func(c *Config) { c.Spool.Dir = "/does/not/exist" }, "/does/not/exist", false},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t, Config{ApplicationConfig: ApplicationConfig{Workers: 3}})
			err := o.configure(func(c *Config) {
				c.Workers, c.Backends, c.Queue.Timeout = 9, []string{"a:1", "c:3"}, Duration(time.Minute)
				tc.change(c)
			})
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, ErrOtherKind) != tc.other {
				t.Errorf("%v, want %q", err, tc.want)
			}
			s := o.back.Snapshot()
			if s.Gate.Workers != 6 || s.Pool.Instances[0].Workers != 3 || o.states() != "a:1 unknown, b:2 unknown" || o.back.app.Patience() != 3*time.Second {
				t.Errorf("changed: %+v", s)
			}
			if _, err := o.back.Handler(o.cfg.SiteConfig, o.cfg.SiteHooks); err != nil {
				t.Error(err)
			}
		})
	}
}

// What can fail comes before anything is changed: processes, above all, are not replaced by
// others and those by what there was.
func TestConfigureFailsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := newSpawnedRig(t, Config{ApplicationConfig: ApplicationConfig{Workers: 2}}, fcgitest.Hello)
		back := r.b.Application()
		there := back.app.Settings().Spool
		cfg := ApplicationConfig{Lanes: Off, Multiplex: Off, Workers: 5, Spawn: &SpawnConfig{Command: []string{"./app.fcgi"}, MaxInstances: 3}, Spool: there}
		if err := back.Configure(cfg); err != nil || back.Snapshot().Gate.Workers != 15 {
			t.Errorf("%v, %+v", err, back.Snapshot().Gate)
		}
		k.want(t, "prepare ./app.fcgi, 1 to 3", "commit ./app.fcgi, 1 to 3")
		cfg.Spawn.MaxInstances, cfg.Spawn.Command, cfg.Spool.Dir = 4, []string{"./other.fcgi"}, "/does/not/exist"
		if err := back.Configure(cfg); err == nil {
			t.Error("a directory that is not there is taken")
		}
		k.want(t)
		cfg.Spool = there
		k.obstinate = io.ErrNoProgress
		if err := back.Configure(cfg); !errors.Is(err, io.ErrNoProgress) || !strings.HasPrefix(err.Error(), "spawn: ") || back.Snapshot().Gate.Workers != 15 {
			t.Errorf("%v, %d workers", err, back.Snapshot().Gate.Workers)
		}
		k.want(t, "prepare ./other.fcgi, 1 to 4")
		k.obstinate = nil
		c, err := back.Prepare(cfg)
		if err != nil || back.Snapshot().Gate.Workers != 15 || back.app.Settings().Spawn.Command[0] != "./app.fcgi" {
			t.Errorf("%v, %d workers", err, back.Snapshot().Gate.Workers)
		}
		c.Cancel()
		k.want(t, "prepare ./other.fcgi, 1 to 4", "cancel ./other.fcgi, 1 to 4")
		if c, err = back.Prepare(cfg); err != nil {
			t.Fatal(err)
		}
		c.Commit()
		if back.Snapshot().Gate.Workers != 20 || back.app.Settings().Spawn.Command[0] != "./other.fcgi" {
			t.Errorf("%d workers", back.Snapshot().Gate.Workers)
		}
	})
}
