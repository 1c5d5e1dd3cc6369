package pool

import (
	"context"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m)) }

// request is a whole request with id 1: BEGIN_REQUEST with FCGI_KEEP_CONN, one
// parameter, no body.
var request = requestWithID(1)

func requestWithID(id uint16) []byte {
	hi, lo := byte(id>>8), byte(id)
	return []byte{
		1, 1, hi, lo, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0,
		1, 4, hi, lo, 0, 4, 0, 0, 1, 1, 'A', 'b',
		1, 4, hi, lo, 0, 0, 0, 0,
		1, 5, hi, lo, 0, 0, 0, 0,
	}
}

// newPool returns a pool that is closed, and must be empty, when the test ends.
func newPool(t testing.TB, cfg Config) *Pool {
	if cfg.Codec == nil {
		cfg.Codec = codec
	}
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close()
		for _, in := range p.Snapshot().Instances {
			if in.Dialing+in.Busy+in.Idle+in.AtWork+in.Closing+in.Zombies != 0 {
				t.Errorf("connections left after Close: %+v", in)
			}
		}
	})
	return p
}

// poolOf is newPool for one instance.
func poolOf(t testing.TB, dial func(context.Context) (net.Conn, error), cfg Config) *Pool {
	t.Helper()
	cfg.Instances = []Instance{{Addr: "app", Dial: dial}}
	return newPool(t, cfg)
}

// poolFor returns a pool with the given number of workers for one peer.
func poolFor(t testing.TB, peer *fcgitest.Peer, workers int) *Pool {
	t.Helper()
	return poolOf(t, peer.Dial, Config{Workers: workers})
}

// threadedPool is poolFor for an application that turns connections away.
func threadedPool(t testing.TB, peer *fcgitest.Peer, workers int) *Pool {
	t.Helper()
	return poolOf(t, peer.Dial, Config{Workers: workers, ClosesWhenFull: true})
}

func mustLease(t testing.TB, p *Pool) *Lease {
	t.Helper()
	return leaseFor(t, p, Demand{})
}

func leaseFor(t testing.TB, p *Pool, d Demand) *Lease {
	t.Helper()
	l, err := p.Lease(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// leaseAll leases so many connections at once.
func leaseAll(t testing.TB, p *Pool, n int) (leases []*Lease) {
	t.Helper()
	for range n {
		leases = append(leases, mustLease(t, p))
	}
	return leases
}

// send sends a request for uri. Where that fails, the answer tells.
func send(t testing.TB, l *Lease, uri string) {
	t.Helper()
	id := l.RequestID()
	begin := fcgi.BeginRequest{Role: fcgi.RoleResponder}
	if l.KeepConn() {
		begin.Flags = fcgi.FlagKeepConn
	}
	b := fcgi.AppendBeginRequest(nil, id, begin)
	params := fcgi.NewParamsWriter(b, id)
	if err := params.Add("REQUEST_URI", uri); err != nil {
		t.Fatal(err)
	}
	b = fcgi.AppendStreamEnd(params.End(), fcgi.TypeStdin, id)
	if err := l.Write(b); err == nil {
		l.SendDone()
	}
}

// answer reads an answer's STDOUT to its end.
func answer(l *Lease) (stdout string, err error) {
	for {
		ev, err := l.Next(time.Now().Add(time.Hour))
		switch {
		case err != nil:
			return stdout, err
		case ev.Kind == upstream.End:
			return stdout, nil
		case ev.Kind == upstream.Output:
			stdout += string(ev.Data)
		}
	}
}

// converse sends a request and reads the answer to its end.
func converse(l *Lease) (stdout string, err error) {
	records := requestWithID(l.RequestID())
	if !l.KeepConn() {
		records[10] = 0 // no FCGI_KEEP_CONN
	}
	if err := l.Write(records); err == nil {
		l.SendDone()
	}
	return answer(l)
}

// exchange is converse where the answer must end.
func exchange(t testing.TB, l *Lease) {
	t.Helper()
	if _, err := converse(l); err != nil {
		t.Fatal(err)
	}
}

// finish sends a request, whose answer must be the page, and releases the lease.
func finish(t testing.TB, l *Lease) {
	t.Helper()
	defer l.Release()
	if out, err := converse(l); err != nil || out != fcgitest.Page {
		t.Errorf("answer %q, %v", out, err)
	}
}

// finishPage is finish for a request that was sent.
func finishPage(t testing.TB, l *Lease) {
	t.Helper()
	defer l.Release()
	if out, err := answer(l); err != nil || out != fcgitest.Page {
		t.Errorf("answer %q, %v", out, err)
	}
}

// finishAnswer is finishPage for any answer.
func finishAnswer(t testing.TB, l *Lease) {
	t.Helper()
	defer l.Release()
	if _, err := answer(l); err != nil {
		t.Error(err)
	}
}

// serve has a request answered.
func serve(t testing.TB, p *Pool) {
	t.Helper()
	finish(t, mustLease(t, p))
}

// inBubble runs a subtest in a bubble.
func inBubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// leasing is a call of Lease in a goroutine of its own.
type leasing struct {
	cancel context.CancelFunc
	done   chan struct{}
	lease  *Lease
	err    error
	after  time.Duration
}

func startLease(p *Pool) *leasing { return startLeasing(p, Demand{}) }

func startLeasing(p *Pool, d Demand) *leasing {
	ctx, cancel := context.WithCancel(context.Background())
	g := &leasing{cancel: cancel, done: make(chan struct{})}
	started := time.Now()
	go func() {
		defer close(g.done)
		g.lease, g.err = p.Lease(ctx, d)
		g.after = time.Since(started)
	}()
	return g
}

// startLeaseFunc is startLeasing with LeaseFunc.
func startLeaseFunc(p *Pool, d Demand) *leasing {
	ctx, cancel := context.WithCancel(context.Background())
	g := &leasing{cancel: cancel, done: make(chan struct{})}
	started := time.Now()
	p.LeaseFunc(ctx, d, func(l *Lease, err error) {
		g.lease, g.err, g.after = l, err, time.Since(started)
		close(g.done)
	})
	return g
}

// ended reports whether the call has returned, once everybody has done all there
// is to do without time passing.
func (g *leasing) ended() bool {
	synctest.Wait()
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

func (g *leasing) mustWait(t testing.TB) {
	t.Helper()
	if g.ended() {
		t.Fatalf("the request does not wait: %v", g.err)
	}
}

func (g *leasing) mustLease(t testing.TB) *Lease {
	t.Helper()
	<-g.done
	if g.err != nil {
		t.Fatal(g.err)
	}
	return g.lease
}

// equal reports an error unless got is want.
func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// counts is what of an InstanceSnapshot the budget is about.
type counts struct{ dialing, busy, idle, closing int }

func wantCounts(t testing.TB, p *Pool, want ...counts) {
	t.Helper()
	synctest.Wait()
	for i, in := range p.Snapshot().Instances {
		if got := (counts{in.Dialing, in.Busy, in.Idle, in.Closing}); got != want[i] {
			t.Errorf("instance %d: %+v, want %+v", i, got, want[i])
		}
	}
}

// dialer is a Dial whose results the test sends, one for each call.
type dialer chan dialed

type dialed struct {
	conn net.Conn
	err  error
}

// dial waits for a result, or the end of ctx.
func (d dialer) dial(ctx context.Context) (net.Conn, error) {
	select {
	case r := <-d:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
