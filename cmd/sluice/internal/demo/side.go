package demo

import (
	"fmt"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// sessionCookie tells visitors apart.
const sessionCookie = "sid"

// queueTime is how long a page may wait: until a busy machine has found out, too, what is slow.
const queueTime = 5 * time.Second

// side is one of the two that are compared, and its clients.
type side struct {
	name, title string
	load        *load
	before      counts
	seen        time.Time
}

// View is what is shown of a side.
type View struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Traffic
	Line
	*Threads // nil: both sides have one application
	*Lease   // nil: it has its application to itself
}

// Traffic is what the clients of a side have seen.
type Traffic struct {
	Asked    float64 `json:"asked"`    // short requests a second
	Answered float64 `json:"answered"` // of them, in time or not
	Failed   float64 `json:"failed"`   // requests of all kinds a second
	Median   float64 `json:"median_ms"`
	P99      float64 `json:"p99_ms"`
	Waiting  int     `json:"waiting"` // short requests without an answer yet

	TotalAnswered uint64 `json:"total_answered"`
	TotalFailed   uint64 `json:"total_failed"`
}

// Line is what waits in front of the application.
type Line struct {
	Queue   int  `json:"queue"`  // requests in the queue, ...
	Parked  int  `json:"parked"` // and of these, long ones, which the gate holds back
	Stalled bool `json:"stalled"`
}

// Threads are those of an application.
type Threads struct {
	Short   int    `json:"short"` // that work on a short request, ...
	Poll    int    `json:"poll"`
	Session int    `json:"session"`
	Running int    `json:"running"` // processes
	Starts  uint64 `json:"starts"`  // processes that were started
	Memory  uint64 `json:"memory"`  // leaked by the fullest process, in bytes
}

// traffic returns what the clients have seen since the last look.
func (s *side) traffic(now time.Time) Traffic {
	c, waiting, median, p99 := s.load.look()
	since := max(now.Sub(s.seen).Seconds(), 0.001)
	was := s.before
	s.before, s.seen = c, now
	return Traffic{
		Waiting: waiting, Median: milliseconds(median), P99: milliseconds(p99),
		Asked: float64(c.asked-was.asked) / since, Answered: float64(c.answered-was.answered) / since, Failed: float64(c.failed-was.failed) / since,
		TotalAnswered: c.answered, TotalFailed: c.failed,
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func lineOf(b *bridge.Snapshot) Line {
	return Line{
		Queue: b.Gate.Waiting, Parked: b.Gate.Lanes["long"].Waiting + b.Gate.Lanes["mixed"].Waiting,
		Stalled: b.Gate.Stall.State == "stalled",
	}
}

func threadsOf(reports []appReport) *Threads {
	t := &Threads{Running: len(reports)}
	for _, r := range reports {
		t.Short, t.Poll, t.Session = t.Short+int(r.Short), t.Poll+int(r.Poll), t.Session+int(r.Session)
		t.Memory = max(t.Memory, r.Memory)
	}
	return t
}

// settingsOfSite is what the gate is told of visitors, and settingsOfApplication what it is told of the
// application.
func settingsOfSite() bridge.SiteConfig {
	return bridge.SiteConfig{Client: config.Client{Key: "cookie " + sessionCookie}}
}

func settingsOfApplication() bridge.ApplicationConfig {
	return bridge.ApplicationConfig{Workers: ThreadCount, Multiplex: config.Off, Queue: config.Queue{Timeout: config.Duration(queueTime)}}
}

// The first columns of the table on the terminal, which are the same in all scenes.
const (
	trafficTitles  = "                 short requests            "
	trafficTitles2 = "time       a second  median      p99"
)

// row is the beginning of a side's row.
func (v *View) row(since time.Duration) string {
	return fmt.Sprintf("%3.0fs %-5s  %7.0f  %4.0f ms  %4.0f ms", since.Seconds(), v.Name, v.Answered, v.Median, v.P99)
}
