package admission

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkSnapshot takes snapshots of a gate with 10,000 requests in flight, 5,000 that wait, and
// as many routes and clients as a gate remembers. It reports how long another goroutine, which
// starts and ends requests meanwhile, has to wait for a decision: the median, the 99th percentile
// and the longest time.
func BenchmarkSnapshot(b *testing.B) {
	const inFlight, wait = 10_000, 5_000
	cfg := Defaults(inFlight + 1000)
	cfg.Reserve, cfg.Size, cfg.LongSize = 1000, 2*wait, 2*wait
	g, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	for i := range cfg.Routes {
		for range knownSamples {
			t, err := g.Acquire(b.Context(), &Request{Route: fmt.Sprintf("GET html /%d", i), ClientKey: uint64(i + 1)})
			if err != nil {
				b.Fatal(err)
			}
			t.Done()
		}
	}
	for i := range inFlight + wait {
		r := &Request{Route: "GET html /poll", Method: "GET", Path: "/poll", ClientKey: uint64(i + 10_000), Long: true}
		if _, err := g.Enter(r, ignorant{}); err != nil {
			b.Fatal(err)
		}
		g.longCap = inFlight
	}
	for name, look := range map[string]func(){
		"Snapshot": func() { g.Snapshot() },
		"InFlight": func() { g.InFlight() },
		"Users":    func() { g.Users(100) },
		"nothing":  func() { time.Sleep(5 * time.Millisecond) },
	} {
		b.Run(name, func(b *testing.B) {
			stop, waited := make(chan struct{}), make(chan []time.Duration)
			go func() {
				var all []time.Duration
				for {
					select {
					case <-stop:
						waited <- all
						return
					default:
					}
					began := time.Now()
					inUse, _ := g.Load() // takes the mutex, and nothing else
					if inUse < inFlight {
						b.Error(inUse)
					}
					all = append(all, time.Since(began))
					time.Sleep(20 * time.Microsecond)
				}
			}()
			b.ReportAllocs()
			for b.Loop() {
				look()
			}
			close(stop)
			all := <-waited
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Nanoseconds())/1000, "us-median")
			b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds())/1000, "us-p99")
			b.ReportMetric(float64(all[len(all)-1].Nanoseconds())/1000, "us-max")
		})
	}
}

type ignorant struct{}

func (ignorant) Settle(error) {}

// BenchmarkSample is what a chart costs once a second.
func BenchmarkSample(b *testing.B) {
	g, err := New(Defaults(16))
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	b.ReportAllocs()
	for b.Loop() {
		g.Sample()
	}
}
