package demo

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// sessionCookie tells visitors apart.
const sessionCookie = "sid"

// queueTime is how long a page may wait: until a busy machine has found out, too, what is slow.
const queueTime = 5 * time.Second

// The memory that a process of the application may have: at the soft limit the gate replaces it,
// at the hard one the kernel, or Sluice, kills it.
const (
	memorySoft = 96 << 20
	memoryHard = 160 << 20
)

// side is one copy of the application, what is in front of it, and its clients.
type side struct {
	name   string
	hub    *hub
	bridge *bridge.Handler
	server *http.Server
	served chan struct{}
	load   *load
	before counts
	seen   time.Time
}

// openSide starts a copy of the application behind the gate, or behind a plain queue: first come,
// first served, never more requests than threads.
func openSide(ctx context.Context, dir, name string, gate bool) (_ *side, err error) {
	s := &side{name: name, served: make(chan struct{}), seen: time.Now()}
	if s.hub, err = openHub(dir, name); err != nil {
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
	s.server = &http.Server{Handler: s.bridge, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.served)
		_ = s.server.Serve(l) // ends with close
	}()
	s.load = startLoad("http://" + l.Addr().String())
	return s, nil
}

func (s *side) config(gate bool) (bridge.Config, error) {
	self, err := os.Executable()
	if err != nil {
		return bridge.Config{}, err
	}
	spawn := &config.Spawn{Command: []string{self, "demo", "--application", s.hub.path}, Budget: config.Budget{Spawns: 1000, Per: config.Duration(time.Minute)}}
	lanes := config.Off
	if runtime.GOOS == "linux" {
		spawn.MemoryHard = memoryHard
	}
	if gate {
		lanes = config.On
		if runtime.GOOS == "linux" {
			spawn.MemorySoft = memorySoft
			spawn.DrainTimeout = config.Duration(2 * pollTime)
		}
	}
	return bridge.Config{
		ApplicationConfig: bridge.ApplicationConfig{Spawn: spawn, Workers: Threads, Lanes: lanes, Multiplex: config.Off, Queue: config.Queue{Timeout: config.Duration(queueTime)}},
		SiteConfig:        bridge.SiteConfig{Client: config.Client{Key: "cookie " + sessionCookie}},
		ApplicationHooks:  bridge.ApplicationHooks{Logger: slog.New(slog.DiscardHandler), Reexec: true},
	}, nil
}

func (s *side) close() {
	s.load.close()
	_ = s.server.Close() // its clients have ended
	<-s.served
	_ = s.bridge.Close()
	s.hub.close()
}

// View is what the page shows of a side.
type View struct {
	Name     string  `json:"name"`
	Asked    float64 `json:"asked"`    // short requests a second
	Answered float64 `json:"answered"` // of them, in time or not
	Failed   float64 `json:"failed"`   // requests of all kinds a second
	Median   float64 `json:"median_ms"`
	P99      float64 `json:"p99_ms"`
	Waiting  int     `json:"waiting"` // short requests without an answer yet
	Short    int     `json:"short"`   // threads that work on a short request, ...
	Poll     int     `json:"poll"`
	Session  int     `json:"session"`
	Queue    int     `json:"queue"`  // requests in the queue, ...
	Parked   int     `json:"parked"` // and of these, long ones, which the gate holds back
	Stalled  bool    `json:"stalled"`
	Running  int     `json:"running"` // processes
	Starts   uint64  `json:"starts"`  // processes that were started
	Memory   uint64  `json:"memory"`  // leaked by the fullest process, in bytes

	TotalAnswered uint64 `json:"total_answered"`
	TotalFailed   uint64 `json:"total_failed"`
}

func (s *side) view(now time.Time) View {
	c, waiting, median, p99 := s.load.look()
	since := max(now.Sub(s.seen).Seconds(), 0.001)
	was := s.before
	s.before, s.seen = c, now
	b := s.bridge.Snapshot()
	v := View{
		Name: s.name, Waiting: waiting, Median: milliseconds(median), P99: milliseconds(p99),
		Asked: float64(c.asked-was.asked) / since, Answered: float64(c.answered-was.answered) / since, Failed: float64(c.failed-was.failed) / since,
		Queue: b.Gate.Waiting, Parked: b.Gate.Lanes["long"].Waiting + b.Gate.Lanes["mixed"].Waiting,
		Stalled: b.Gate.Stall.State == "stalled", TotalAnswered: c.answered, TotalFailed: c.failed,
	}
	if b.Processes != nil {
		v.Starts = b.Processes.Started
	}
	for _, r := range s.hub.reports() {
		v.Running++
		v.Short, v.Poll, v.Session = v.Short+int(r.Short), v.Poll+int(r.Poll), v.Session+int(r.Session)
		v.Memory = max(v.Memory, r.Memory)
	}
	return v
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
