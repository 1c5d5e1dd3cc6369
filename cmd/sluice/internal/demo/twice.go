package demo

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// The memory that a process of the application may have: at the soft limit the gate replaces it,
// at the hard one the kernel, or Sluice, kills it.
const (
	memorySoft = 96 << 20
	memoryHard = 160 << 20
)

// twice is the scene of one application behind the gate, and a copy of it behind a plain queue.
type twice struct{ both [2]*copied }

// copied is one copy of the application, and what is in front of it.
type copied struct {
	side
	hub    *hub[appReport]
	bridge *bridge.Handler
	server *http.Server
	served chan struct{}
}

func openTwice(ctx context.Context, dir string) (_ scene, err error) {
	t := &twice{}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	for i, s := range []side{{name: "gate", title: "With Sluice"}, {name: "queue", title: "With a plain queue"}} {
		if t.both[i], err = openCopy(ctx, dir, s, s.name == "gate"); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// openCopy starts a copy of the application behind the gate, or behind a plain queue: first come,
// first served, never more requests than threads.
func openCopy(ctx context.Context, dir string, of side, gate bool) (_ *copied, err error) {
	s := &copied{side: of, served: make(chan struct{})}
	s.seen = time.Now()
	if s.hub, err = openHub[appReport](dir, s.name, nil); err != nil {
		return nil, err
	}
	cfg, err := s.config(gate)
	if err == nil {
		s.bridge, err = bridge.New(ctx, cfg)
	}
	if err != nil {
		s.hub.close()
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		_ = s.bridge.Close()
		s.hub.close()
		return nil, err
	}
	s.server = &http.Server{Handler: s.bridge, ReadHeaderTimeout: headerTimeout}
	go func() {
		defer close(s.served)
		_ = s.server.Serve(l) // ends with close
	}()
	s.load = startLoad("http://" + l.Addr().String())
	return s, nil
}

func (s *copied) config(gate bool) (bridge.Config, error) {
	self, err := os.Executable()
	if err != nil {
		return bridge.Config{}, err
	}
	app := settingsOfApplication()
	app.Spawn = &config.Spawn{Command: []string{self, "demo", "--application", s.hub.path}, Budget: config.Budget{Spawns: 1000, Per: config.Duration(time.Minute)}}
	app.Lanes = config.Off
	if runtime.GOOS == "linux" {
		app.Spawn.MemoryHard = memoryHard
	}
	if gate {
		app.Lanes = config.On
		if runtime.GOOS == "linux" {
			app.Spawn.MemorySoft = memorySoft
			app.Spawn.DrainTimeout = config.Duration(2 * pollTime)
		}
	}
	return bridge.Config{
		ApplicationConfig: app, SiteConfig: settingsOfSite(),
		ApplicationHooks: bridge.ApplicationHooks{Logger: slog.New(slog.DiscardHandler), Reexec: true},
	}, nil
}

func (t *twice) set(was, now *Settings) {
	for _, s := range t.both {
		s.load.set(*now)
		if now.Leak != was.Leak {
			s.hub.tell(map[bool]string{true: "leak on", false: "leak off"}[now.Leak])
		}
	}
}

func (t *twice) do(deed string) {
	for _, s := range t.both {
		s.hub.tell(deed)
	}
}

func (t *twice) look(now time.Time, _ *Settings) (p Picture) {
	for i, s := range t.both {
		b := s.bridge.Snapshot()
		v := View{Name: s.name, Title: s.title, Traffic: s.traffic(now), Line: lineOf(&b), Threads: threadsOf(s.hub.reports())}
		if b.Processes != nil {
			v.Starts = b.Processes.Started
		}
		p.Sides[i] = v
	}
	return p
}

func (t *twice) titles() (string, string) {
	return trafficTitles + "  threads at work             waiting", trafficTitles2 + "   short  polls  session   queue  parked   failed"
}

func (t *twice) rows(p *Picture, since time.Duration) (rows []string) {
	for _, v := range p.Sides {
		rows = append(rows, fmt.Sprintf("%s   %5d  %5d  %7d   %5d  %6d   %6d", v.row(since), v.Short, v.Poll, v.Session, v.Queue-v.Parked, v.Parked, v.TotalFailed))
	}
	return rows
}

func (t *twice) close() {
	for _, s := range t.both {
		if s != nil {
			s.close()
		}
	}
}

func (s *copied) close() {
	s.load.close()
	_ = s.server.Close() // its clients have ended
	<-s.served
	_ = s.bridge.Close()
	s.hub.close()
}
