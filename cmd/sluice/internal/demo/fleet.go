package demo

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// againAfter is how long after its end the application is started again.
const againAfter = 500 * time.Millisecond

// fleetOfTwo is the scene of two gates in front of one application.
type fleetOfTwo struct {
	news    *newsList
	hub     *hub[appReport]
	engine  *engine
	gates   [2]*fleetGate
	running sync.WaitGroup // keeps the application
	stop    context.CancelFunc

	mu     sync.Mutex
	starts uint64
	last   appReport // of the application
	most   int64     // connections at once, of all its processes
	turned int64     // connections that processes before this one have turned away
}

// fleetGate is one of the gates. Its process serves at the same address again.
type fleetGate struct {
	side
	hub     *hub[gateReport]
	addr    string
	process *process // nil: it does not run
}

// Lease is what a gate may use of the application, and uses.
type Lease struct {
	Up          bool   `json:"up"` // the gate runs
	Address     string `json:"address"`
	Status      string `json:"status"` // as in fleet.State; "": not known yet
	Leased      int    `json:"leased"` // workers
	Used        int    `json:"used"`   // workers, ...
	Long        int    `json:"long"`   // of them, by long requests
	Connections int    `json:"connections"`
}

// Shared is the application that both gates have.
type Shared struct {
	*Threads
	Open       int64 `json:"open"` // connections, ...
	Most       int64 `json:"most"` // the most there were at once, with those that were turned away
	TurnedAway int64 `json:"turned_away"`
}

func openFleet(dir string, news *newsList) (_ scene, err error) {
	ctx, stop := context.WithCancel(context.Background())
	f := &fleetOfTwo{news: news, stop: stop}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.hub, err = openHub(dir, "control", f.hear); err != nil {
		return nil, err
	}
	if f.engine, err = openEngine(filepath.Join(dir, engineSocket("a")), filepath.Join(dir, engineSocket("b"))); err != nil {
		return nil, err
	}
	f.running.Go(func() { f.keepApplication(ctx, dir) })
	for i, s := range []side{{name: "a", title: "Gate A"}, {name: "b", title: "Gate B"}} {
		if f.gates[i], err = f.openGate(dir, s); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *fleetOfTwo) openGate(dir string, s side) (*fleetGate, error) {
	g := &fleetGate{side: s, addr: "127.0.0.1:0"}
	g.seen = time.Now()
	var err error
	g.hub, err = openHub(dir, s.name, func(r gateReport) {
		for _, e := range slices.Backward(r.Events) {
			f.news.add(g.title, e.Text)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := g.start(); err != nil {
		g.hub.close()
		return nil, err
	}
	g.load = startLoad("http://" + g.addr)
	return g, nil
}

func (g *fleetGate) start() error {
	l, err := net.Listen("tcp", g.addr)
	if err != nil {
		return err
	}
	defer l.Close() // the process has it
	g.addr = l.Addr().String()
	g.process, err = startPart(l.(*net.TCPListener), "--gate", g.hub.path)
	return err
}

// keepApplication starts the application, and starts it again when it ends.
func (f *fleetOfTwo) keepApplication(ctx context.Context, dir string) {
	for ; ctx.Err() == nil; pause(ctx, againAfter) {
		p, err := f.startApplication(filepath.Join(dir, applicationSocket))
		if err == nil {
			f.mu.Lock()
			f.starts++
			f.mu.Unlock()
			select {
			case <-ctx.Done():
				p.kill()
				return
			case <-p.ended:
				err = p.err
			}
		}
		f.news.add("Application", fmt.Sprintf("It has ended (%v), and is started again.", err))
	}
}

// startApplication starts it at a socket of this path, which it alone has: a gate takes requests of a
// process that has it for requests of the application.
func (f *fleetOfTwo) startApplication(path string) (*process, error) {
	_ = os.Remove(path) // the former one's
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	return startPart(l, "--application", f.hub.path)
}

// hear notes what the application reports.
func (f *fleetOfTwo) hear(r appReport) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.PID != f.last.PID {
		f.turned += f.last.TurnedAway
	}
	f.last, f.most = r, max(f.most, r.Most)
}

func (f *fleetOfTwo) set(was, now *Settings) {
	before := was.Fleet
	if before == nil { // at first
		before = &FleetSettings{}
	}
	if now.Fleet.Stopped != before.Stopped {
		f.setEngine(now.Fleet.Stopped)
	}
	for i, g := range f.gates {
		if cut := now.Fleet.Cut[i]; cut != before.Cut[i] {
			f.engine.cut(i, cut)
			f.news.add(g.title, map[bool]string{true: "It is cut off from the engine.", false: "It reaches the engine again."}[cut])
		}
		switch {
		case now.Fleet.Ended[i] == before.Ended[i]:
		case now.Fleet.Ended[i]:
			f.end(i)
		default:
			now.Fleet.Ended[i] = !f.startAgain(i)
		}
	}
	f.spread(now)
}

func (f *fleetOfTwo) setEngine(stopped bool) {
	if stopped {
		f.engine.stop()
		f.news.add("Engine", "It has been stopped. The gates keep their leases for 5 s.")
		return
	}
	text := "It has been started again, and knows nothing."
	if err := f.engine.start(); err != nil {
		text = "It cannot be started: " + err.Error()
	}
	f.news.add("Engine", text)
}

// end ends a gate, which tells nobody.
func (f *fleetOfTwo) end(i int) {
	g := f.gates[i]
	if g.process == nil {
		return
	}
	g.process.kill()
	text := fmt.Sprintf("It has ended (%v), and told the engine nothing. Its clients ask the other gate, if that runs.", g.process.err)
	g.process = nil
	f.news.add(g.title, text)
}

func (f *fleetOfTwo) startAgain(i int) bool {
	g := f.gates[i]
	if err := g.start(); err != nil {
		f.news.add(g.title, "It cannot be started: "+err.Error())
		return false
	}
	f.news.add(g.title, "It has been started again. Its clients are back.")
	return true
}

// spread has the clients ask the gates that there are.
func (f *fleetOfTwo) spread(s *Settings) {
	for i, part := range s.split() {
		f.gates[i].load.set(part)
	}
}

func (f *fleetOfTwo) do(deed string) {
	if deed == "stall" {
		f.news.add("Application", fmt.Sprintf("It begins no request for %v.", stallTime))
	}
	f.hub.tell(deed)
}

// look notes a gate that has ended by itself, too.
func (f *fleetOfTwo) look(now time.Time, s *Settings) (p Picture) {
	for i, g := range f.gates {
		if g.process != nil && g.process.hasEnded() {
			f.end(i)
			s.Fleet.Ended[i] = true
			f.spread(s)
		}
		v := View{Name: g.name, Title: g.title, Traffic: g.traffic(now), Lease: &Lease{Up: g.process != nil, Address: g.addr}}
		if reports := g.hub.reports(); v.Up && len(reports) > 0 {
			r := &reports[0]
			v.Line = r.Line
			v.Status, v.Leased = r.Fleet.Status, r.Fleet.Allowed
			v.Used, v.Long, v.Connections = r.Used, r.Long, r.Connections
		}
		p.Sides[i] = v
	}
	p.Shared = f.shared()
	return p
}

func (f *fleetOfTwo) shared() *Shared {
	s := &Shared{Threads: threadsOf(f.hub.reports())}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Starts, s.Open, s.Most, s.TurnedAway = f.starts, f.last.Open, f.most, f.turned+f.last.TurnedAway
	return s
}

func (f *fleetOfTwo) titles() (string, string) {
	return trafficTitles + "         workers            waiting", trafficTitles2 + "   leased  used   long   queue  parked   failed"
}

func (f *fleetOfTwo) rows(p *Picture, since time.Duration) (rows []string) {
	leased, used := 0, 0
	for _, v := range p.Sides {
		rows = append(rows, fmt.Sprintf("%s   %6d  %4d   %4d   %5d  %6d   %6d", v.row(since), v.Leased, v.Used, v.Long, v.Queue-v.Parked, v.Parked, v.TotalFailed))
		leased, used = leased+v.Leased, used+v.Used
	}
	return append(rows, fmt.Sprintf("%3.0fs both %s%6d  %4d   the application: %d connections, %d at most, %d too many",
		since.Seconds(), strings.Repeat(" ", len(trafficTitles2)-6), leased, used, p.Shared.Open, p.Shared.Most, p.Shared.TurnedAway))
}

func (f *fleetOfTwo) close() {
	for _, g := range f.gates {
		if g != nil {
			g.close()
		}
	}
	f.stop()
	f.running.Wait()
	if f.engine != nil {
		f.engine.close()
	}
	if f.hub != nil {
		f.hub.close()
	}
}

func (g *fleetGate) close() {
	g.load.close()
	if g.process != nil {
		g.process.kill()
	}
	g.hub.close()
}
