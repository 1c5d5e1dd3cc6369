package bridge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/internal/seeds"
)

// TestModel plays random days, with lanes and without: applications of any kind, requests of any kind,
// clients that leave, restarts, connections that break. Whatever happens, a client
// is never given another's answer or a part of its own that looks whole, no request
// is executed that must not be, no instance has more connections than it may, and
// nothing is left at the end. Where nothing breaks, no request fails.
func TestModel(t *testing.T) {
	for seed := range seeds.Of(t, 120) {
		for _, lanes := range []Switch{Off, On} {
			t.Run(fmt.Sprintf("%d/lanes=%s", seed, lanes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { newDay(t, lanes, rand.New(rand.NewPCG(seed, 2))).play() })
			})
		}
	}
}

// trouble is what goes wrong on a day.
type trouble string

const (
	calm      trouble = "calm"     // nothing
	leavers   trouble = "leavers"  // clients
	restarts  trouble = "restarts" // clients and applications
	faults    trouble = "faults"   // clients and connections
	turbulent trouble = "turbulent"
)

// day is a bridge and all that goes on around it.
type day struct {
	*ledger
	rig     *rig
	rng     *rand.Rand
	cfg     Config
	trouble trouble
	apps    []*simApp
	peers   []*fcgitest.Peer
	plans   []*plan
	begun   time.Time

	mu     sync.Mutex
	faults []fcgitest.Fault // one for each connection, until there are no more
	open   map[string]int   // connections that the bridge has not closed
}

func newDay(t *testing.T, lanes Switch, rng *rand.Rand) *day {
	d := &day{
		rng: rng, open: make(map[string]int), begun: time.Now(),
		ledger: &ledger{t: t, entries: make(map[int]*entry)},
	}
	d.trouble = oneOf(rng, calm, calm, leavers, restarts, faults, turbulent)
	d.cfg = Config{
		ApplicationConfig: ApplicationConfig{
			Lanes:     lanes,
			Workers:   1 + rng.IntN(12),
			KeepAlive: oneOf(rng, On, Auto, Auto, Off),
			Multiplex: oneOf(rng, Off, Auto, Auto, On),
			Timeouts:  ConnectionTimeouts{Send: Duration(5 * time.Second), Idle: Duration(time.Duration(1+rng.IntN(5)) * time.Second)},
			Queue:     QueueConfig{Timeout: Duration(5 * time.Minute), LongTimeout: Duration(5 * time.Minute)},
		},
		SiteConfig: SiteConfig{
			RequestBuffering: oneOf(rng, On, On, Off),
			Timeouts:         TimeoutsConfig{FirstByte: Duration(5 * time.Second), BetweenBytes: Duration(5 * time.Second), Abandoned: Duration(3 * time.Second)},
			Client:           ClientConfig{Key: "cookie sid"},
		},
		ApplicationHooks: ApplicationHooks{dial: d.dial},
	}
	if d.cfg.KeepAlive == Off && d.cfg.Multiplex == On {
		d.cfg.Multiplex = Auto
	}
	if rng.IntN(4) == 0 {
		d.cfg.Preset, d.cfg.Root = "php", t.TempDir()
		if err := os.WriteFile(filepath.Join(d.cfg.Root, "index.php"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d.disturbed() {
		d.cfg.Queue.Timeout = Duration(3 * time.Second)
		d.cfg.Queue.LongTimeout = 0
	}
	for i := range 1 + rng.IntN(3) {
		d.cfg.Backends = append(d.cfg.Backends, fmt.Sprintf("app%d:9000", i))
		d.startApp(t)
	}
	if d.cfg.Preset == "php" && d.cfg.Multiplex == On {
		d.cfg.Multiplex = Auto
	}
	if rng.IntN(2) == 0 { // all answers go through a pipe
		d.cfg.ClientConn = func(http.ResponseWriter, *http.Request) net.Conn { return nil }
	}
	d.rig = startRig(t, d.cfg)
	d.rig.b.cfg.Observe = d.observe
	d.rig.client.Transport.(*http.Transport).DisableKeepAlives = rng.IntN(2) == 0
	d.makePlans()
	d.makeFaults()
	return d
}

func oneOf[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

// disturbed reports whether requests may fail.
func (d *day) disturbed() bool { return d.trouble != calm && d.trouble != leavers }

func (d *day) startApp(t *testing.T) {
	a := &simApp{ledger: d.ledger, serving: make(map[*fcgitest.Session]int), kind: d.kindOfApp()}
	a.capacity = d.cfg.Workers
	switch a.kind {
	case threads:
		a.capacity = max(1, d.cfg.Workers+d.rng.IntN(5)-3)
	case retiring:
		a.capacity = 1 + d.rng.IntN(5)
	case overloaded:
		a.capacity = max(1, d.cfg.Workers-1)
	}
	peer := fcgitest.Start(t, a.script())
	if a.kind == multiplexed {
		peer.Values(oneOf(d.rng, fcgitest.ValuesYes, fcgitest.ValuesTrac))
	} else {
		peer.Values(oneOf(d.rng, fcgitest.ValuesLibfcgi, fcgitest.ValuesEmpty, fcgitest.ValuesSilent, fcgitest.ValuesDrop))
	}
	d.apps, d.peers = append(d.apps, a), append(d.peers, peer)
}

// kindOfApp returns a kind of application that the configuration is right for.
func (d *day) kindOfApp() kind {
	switch {
	case d.cfg.Multiplex == On:
		return oneOf(d.rng, multiplexed, multiplexed, refusing, overloaded)
	case d.cfg.Preset == "php":
		return oneOf(d.rng, processes, processes, retiring)
	}
	return oneOf(d.rng, threads, threads, processes, acceptMutex, unlimited, retiring, closing, multiplexed)
}

func (d *day) makePlans() {
	span := time.Duration(1 + d.rng.IntN(int(8*time.Second)))
	manners := []manner{whole, whole, bare, streamed, measured, noisy, early, unreadBody, short}
	if d.disturbed() {
		manners = append(manners, [][]manner{nil, nil, {silent}, {tailed}}[d.rng.IntN(4)]...)
	}
	for n := range 5 + d.rng.IntN(40) {
		p := &plan{
			n: n, method: oneOf(d.rng, "GET", "GET", "HEAD", "PUT", "POST", "POST"), at: time.Duration(d.rng.Int64N(int64(span))),
			manner: oneOf(d.rng, manners...), size: oneOf(d.rng, 0, 100, 100, 5000, 100_000),
			work: oneOf(d.rng, 0, 0, time.Millisecond, 20*time.Millisecond, 200*time.Millisecond),
		}
		if p.method == "PUT" || p.method == "POST" {
			p.body = oneOf(d.rng, 0, 1, 100, 100, 20_000, 100_000)
			p.upload = oneOf(d.rng, announced, announced, chunked, trickled)
		}
		if d.trouble != calm && d.rng.IntN(4) == 0 {
			p.leave = 1 + time.Duration(d.rng.Int64N(int64(300*time.Millisecond)))
		}
		d.plans = append(d.plans, p)
		d.entries[n] = &entry{plan: p}
	}
}

func (d *day) makeFaults() {
	if d.trouble != faults && d.trouble != turbulent {
		return
	}
	for range 5 + d.rng.IntN(40) {
		f := fcgitest.Fault{
			Kind:      oneOf(d.rng, 0, 0, 0, fcgitest.Cut, fcgitest.Reset, fcgitest.Stall, fcgitest.Split),
			Direction: oneOf(d.rng, fcgitest.FromApp, fcgitest.ToApp),
			At:        d.rng.IntN(oneOf(d.rng, 20, 500, 2000, 100_000)),
			For:       oneOf(d.rng, 0, time.Millisecond, time.Second),
		}
		d.faults = append(d.faults, f)
	}
}

// dial connects the bridge to an instance, perhaps with a fault in it.
func (d *day) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	i := slices.Index(d.cfg.Backends, addr)
	c, err := d.nextFault().Dial(d.peers[i].Dial)(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.open[addr]++
	n := d.open[addr]
	d.mu.Unlock()
	if n > d.cfg.Workers {
		d.t.Errorf("%s has %d connections, %d workers", addr, n, d.cfg.Workers)
	}
	d.check()
	return &countedConn{Conn: c, closed: sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open[addr]--
	})}, nil
}

func (d *day) nextFault() (f fcgitest.Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.faults) > 0 {
		f, d.faults = d.faults[0], d.faults[1:]
	}
	return f
}

// countedConn says when it is closed.
type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// play lets the day pass.
func (d *day) play() {
	var clients sync.WaitGroup
	for _, p := range d.plans {
		clients.Go(func() { d.visit(p) })
	}
	var events sync.WaitGroup
	over := make(chan struct{})
	if d.trouble == restarts || d.trouble == turbulent {
		for _, peer := range d.peers {
			seed := d.rng.Uint64()
			events.Go(func() { restartAtTimes(peer, rand.New(rand.NewPCG(seed, 3)), over) })
		}
	}
	clients.Wait()
	close(over)
	events.Wait()
	d.finish()
}

// restartAtTimes restarts or reloads an application now and then.
func restartAtTimes(peer *fcgitest.Peer, rng *rand.Rand, over chan struct{}) {
	for {
		select {
		case <-time.After(time.Duration(rng.Int64N(int64(3 * time.Second)))):
		case <-over:
			return
		}
		if rng.IntN(2) == 0 {
			peer.Reload()
			continue
		}
		peer.Restart(oneOf(rng, time.Millisecond, 300*time.Millisecond, 4*time.Second))
	}
}

// visit makes one request and judges what the client gets.
func (d *day) visit(p *plan) {
	time.Sleep(p.at)
	ctx := context.Background()
	if p.leave > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.leave)
		defer cancel()
	}
	re := d.rig.send(p.request(ctx, string(d.cfg.Preset)))
	d.check()
	d.judge(p, re)
}

// judge looks at what the client got.
func (d *day) judge(p *plan, re reply) {
	switch {
	case re.err != nil:
		if p.leave == 0 && !d.mayFail(p) {
			d.t.Errorf("%s request %+v failed: %v", d, *p, re.err)
		}
	case p.manner == short && p.method != http.MethodHead:
		if re.status < 500 {
			d.t.Errorf("%s request %+v got %d and %d bytes, as if they were all", d, *p, re.status, len(re.body))
		}
	case re.status == http.StatusOK:
		want := p.answer()
		if p.method == http.MethodHead {
			want = ""
		}
		if re.body != want || re.header.Get("X-Number") != fmt.Sprint(p.n) {
			d.t.Errorf("%s request %+v got the answer to %s, %d bytes, want %d: %.60q", d, *p, re.header.Get("X-Number"), len(re.body), len(want), re.body)
		}
	case !slices.Contains([]int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, re.status):
		d.t.Errorf("%s request %+v got %d %q", d, *p, re.status, re.body)
	case !d.mayFail(p):
		d.t.Errorf("%s request %+v got %d %q", d, *p, re.status, re.body)
	}
}

// mayFail reports whether a request may fail whose client stays. Where nothing is
// disturbed it must not, with two exceptions: an application that is not known to
// close kept connections costs requests that cannot be sent again until that is
// seen; and one that says only after a streamed body that it is overloaded costs
// that request.
func (d *day) mayFail(p *plan) bool {
	if d.disturbed() || p.manner == short {
		return true
	}
	gone := d.cfg.RequestBuffering == Off && p.body > 0 && p.upload != chunked
	return slices.ContainsFunc(d.apps, func(a *simApp) bool {
		switch a.kind {
		case retiring, closing, unlimited:
			return d.cfg.Preset != "php" && (gone || !p.mayRepeat())
		case overloaded:
			return gone
		}
		return false
	})
}

// check holds at every moment.
func (d *day) check() {
	s := d.rig.b.Snapshot()
	if s.Gate.InUse > d.cfg.Workers*len(d.apps) {
		d.t.Errorf("%d slots given out, there are %d", s.Gate.InUse, d.cfg.Workers*len(d.apps))
	}
	for _, in := range s.Pool.Instances {
		extra := in.Requests - in.Busy
		if used := in.Dialing + in.Busy + in.Idle + in.AtWork + in.Closing + extra; used > d.cfg.Workers || extra < 0 || in.Zombies < 0 || in.Zombies > in.Requests {
			d.t.Errorf("%s: the budget of %d is exceeded: %+v", d, d.cfg.Workers, in)
		}
		if in.Observed < 1 || in.Observed > in.Workers {
			d.t.Errorf("%s: observed capacity %d of %d", d, in.Observed, in.Workers)
		}
	}
}

// finish waits until everything that was abandoned is given up and every kept
// connection has been idle for too long, and looks for what is left.
func (d *day) finish() {
	if d.cfg.RequestBuffering == Off {
		time.Sleep(time.Duration(d.rig.b.app.app.Settings().Queue.LongTimeout)) // nobody notices that the client of an unread body has left a queue
	}
	time.Sleep(time.Duration(d.cfg.SiteConfig.Timeouts.Abandoned + d.cfg.ApplicationConfig.Timeouts.Idle + Duration(5*time.Second)))
	d.rig.wantKept(0)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, in := range d.rig.b.Snapshot().Pool.Instances {
		// A process that has not come back after its answer, as far as is known, keeps its connection for
		// minutes; a fault in the connection looks like one.
		if n := d.open[in.Addr]; n != in.AtWork {
			d.t.Errorf("%s: %d connections to %s are open at the end, %d of processes at work", d, n, in.Addr, in.AtWork)
		}
	}
	d.close(d.String())
}

func (d *day) String() string {
	var kinds []string
	for _, a := range d.apps {
		kinds = append(kinds, fmt.Sprintf("%s(%d)", a.kind, a.capacity))
	}
	return fmt.Sprintf("%s day, lanes %s, preset %q, %d workers, keep_alive %s, multiplex %s, buffering %s, %s:",
		d.trouble, d.cfg.Lanes, d.cfg.Preset, d.cfg.Workers, d.cfg.KeepAlive, d.cfg.Multiplex, d.cfg.RequestBuffering, strings.Join(kinds, " "))
}
