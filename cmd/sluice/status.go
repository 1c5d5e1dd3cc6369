package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/page"
	"github.com/sluice-proxy/sluice/bridge/status"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
)

// statusTimeout is how long reading a request to the status listener, and writing its answer, may
// take: there are few connections, and none may be held for longer.
const statusTimeout = 10 * time.Second

// statusListener serves the status.
type statusListener struct {
	http  *http.Server
	page  *page.Page
	limit *connlimit.Limit
	from  *connlimit.Listener
	stop  context.CancelFunc // cancels a restart in progress
	hosts atomic.Pointer[[]string]
}

// mostViewers is how many browsers may have the page open. Other requests must find a connection,
// too.
const mostViewers = statusConnections - 24

// newStatusListener serves the page, the state of the applications and of the servers in front, the
// restart of applications, and the reload of the configuration. hosts are the permitted host names
// of requests.
func newStatusListener(s *server, front func() frontSnapshot, limit *connlimit.Limit, hosts []string) *statusListener {
	stops, stop := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	live := page.New(page.Options{
		Applications: s.pageApplications,
		Front:        func() page.Front { return front().page() },
		Version:      versionText(),
		MaxViewers:   mostViewers,
	})
	for _, path := range []string{"/{$}", "/static/", "/view.json", "/stream"} {
		mux.Handle(path, live)
	}
	all := status.Handler(func() any {
		state, _ := s.snapshotOf("", front, live) // all have a state
		return state
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Query().Get("application")
		if name == "" || r.URL.Path != "/status.json" {
			all.ServeHTTP(w, r)
			return
		}
		state, err := s.snapshotOf(name, front, live)
		if err != nil {
			http.Error(w, err.Error(), statusOf(err))
			return
		}
		status.Handler(func() any { return state }).ServeHTTP(w, r)
	})
	mux.Handle("GET /metrics", metricsHandler(s, front))
	mux.Handle("POST /restart", changeHandler(stops, "restarted", func(ctx context.Context, r *http.Request) error {
		_, err := s.restart(ctx, r.URL.Query().Get("application"))
		return err
	}))
	mux.Handle("POST /reload", changeHandler(stops, "reloaded", func(ctx context.Context, _ *http.Request) error { return s.reload(ctx) }))
	mux.Handle("POST /upgrade", changeHandler(stops, "upgraded: another process has taken over, and the former one finishes its requests", func(ctx context.Context, _ *http.Request) error {
		_, err := s.upgrade(ctx)
		return err
	}))
	publish := bridge.PublishHandler(func() (list []*bridge.Application) {
		for _, a := range s.front.current.Load().applications() {
			list = append(list, a.Application.Application())
		}
		return list
	})
	for _, path := range []string{"/publish", "/publish/{$}"} {
		mux.Handle(path, publish)
	}
	var told sync.Once
	l := &statusListener{page: live, limit: limit, from: limit.Listener(), stop: stop}
	l.hosts.Store(&hosts)
	unknown := func(host string) {
		told.Do(func() {
			s.log.Warn("a request to the status listener had an unknown host; if it is a name of this server, add "+s.front.current.Load().nameOf("status_hosts"), "host", host)
		})
	}
	l.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			status.Guard(mux, *l.hosts.Load(), unknown).ServeHTTP(w, r)
		}),
		ReadTimeout: statusTimeout, WriteTimeout: statusTimeout, IdleTimeout: time.Minute,
		ConnState: track(limit),
		ErrorLog:  slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	return l
}

func (s *statusListener) serve() error { return s.http.Serve(s.from) }

// accept has connections of a listener served until stop is called.
func (s *statusListener) accept(l net.Listener) (stop func() error) {
	return s.from.Add(hideHalfClosed(l, s.limit))
}

// pageApplications are what the page shows.
func (s *server) pageApplications() (list []page.Named) {
	g := s.front.current.Load()
	for _, a := range g.applications() {
		list = append(list, a.onPage(g))
	}
	return list
}

// onPage is how the page shows an application of g. With flags, it is named by where it is.
func (a namedApplication) onPage(g *generation) page.Named {
	name := a.name
	if g.path == "" {
		name = location(a.Settings())
	}
	return page.Named{Name: name, Application: a.Application.Application()}
}

// statusGrace is how long requests may take at the end.
const statusGrace = time.Second

// close waits for the requests in progress, and closes the listener.
func (s *statusListener) close() {
	s.stop()
	s.page.Close()
	s.http.SetKeepAlivesEnabled(false)
	ctx, cancel := context.WithTimeout(context.Background(), statusGrace)
	defer cancel()
	_ = s.limit.Drain(ctx) // Close ends the rest
	_ = s.http.Close()
}

// statusHosts returns the host names for the status: those of status_hosts, the one in its address,
// and this machine's name if other machines can connect.
func (s *setup) statusHosts() []string {
	own := status.Hostname(s.Server.Status)
	hosts := slices.Clone(s.Server.StatusHosts)
	addr, err := netip.ParseAddr(own)
	switch {
	case own != "" && err != nil:
		hosts = append(hosts, own)
	case err == nil && addr.IsLoopback():
		return hosts
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	return hosts
}
