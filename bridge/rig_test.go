package bridge

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/app"
	"github.com/sluice-proxy/sluice/bridge/internal/exchange"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
)

// rig is a bridge between an HTTP server and an application, all in memory, for
// tests inside a synctest bubble. When the test ends it looks for what was not
// given back.
type rig struct {
	t      *testing.T
	b      *Handler
	peer   *fcgitest.Peer
	front  *fcgitest.Listener
	client *http.Client
	log    *logBuffer
	cfg    Config

	mu       sync.Mutex
	outcomes []Outcome
}

// newRig starts a bridge with cfg in front of an application that plays scripts.
func newRig(t *testing.T, cfg Config, scripts ...fcgitest.Script) *rig {
	t.Helper()
	peer := fcgitest.Start(t, scripts...)
	if cfg.dial == nil {
		cfg.dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return peer.Dial(ctx) }
	}
	if cfg.unread == nil {
		cfg.unread = func(c net.Conn) pool.Unread { return fcgitest.UnreadOf(c) }
	}
	r := startRig(t, cfg)
	r.peer = peer
	return r
}

// startRig starts a bridge that connects with cfg.dial.
func startRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t, front: fcgitest.Listen(128), log: new(logBuffer)}
	if cfg.Backends == nil && cfg.Spawn == nil {
		cfg.Backends = []string{"unix:/run/app.sock"}
	}
	cfg.Workers = cmp.Or(cfg.Workers, 2)
	cfg.Lanes = cmp.Or(cfg.Lanes, Off)         // a route that is not known may have two requests in flight
	cfg.Multiplex = cmp.Or(cfg.Multiplex, Off) // the question would be some scripts' first request
	cfg.KeepAlive = cmp.Or(cfg.KeepAlive, On)  // and this one some scripts' second
	cfg.Spool.Dir = cmp.Or(cfg.Spool.Dir, t.TempDir())
	cfg.Logger = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.Observe = r.observe
	if cfg.ClientConn == nil {
		cfg.ClientConn = clientConn
	}
	r.cfg = cfg
	r.renew()
	answer := func(w http.ResponseWriter, req *http.Request) { r.b.ServeHTTP(w, req) }
	srv := &http.Server{Handler: http.HandlerFunc(answer), ErrorLog: log.New(&complaints{t}, "", 0), ConnContext: withConn}
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(r.front) }) // ends with http.ErrServerClosed
	tr := &http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return r.front.Dial(ctx) },
		DisableCompression:    true,
		ExpectContinueTimeout: time.Hour,
	}
	r.client = &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		srv.Close()
		served.Wait()
		r.b.Close()
		r.wantNothingHeld()
		time.Sleep(time.Second) // net/http lingers on some connections for half of it
	})
	return r
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// clientConn is Config.ClientConn.
func clientConn(_ http.ResponseWriter, r *http.Request) net.Conn {
	c, _ := r.Context().Value(connKey{}).(net.Conn)
	return c
}

// renew begins with a new handler. No request is in the one before.
func (r *rig) renew() {
	r.t.Helper()
	if r.b != nil {
		r.b.Close()
	}
	h, err := New(r.t.Context(), r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.b = h
}

func (r *rig) observe(_ *http.Request, o *Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes = append(r.outcomes, *o)
}

// outcome returns that of the request that ended last.
func (r *rig) outcome() Outcome {
	r.t.Helper()
	synctest.Wait()
	if r.ended() == 0 {
		time.Sleep(exchange.GatherFor) // the client may have its answer so much sooner than the application ends
		synctest.Wait()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.outcomes) == 0 {
		r.t.Fatal("no request has ended")
	}
	return r.outcomes[len(r.outcomes)-1]
}

// ended is how many requests have ended.
func (r *rig) ended() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.outcomes)
}

// wantNothingHeld checks that no request holds anything of anybody.
func (r *rig) wantNothingHeld() {
	r.t.Helper()
	time.Sleep(app.CloseDelay(r.b.app.app.Settings()))
	synctest.Wait()
	s := r.b.Snapshot()
	s.Spool.Cut, s.Spool.Refused, s.Spool.DiskLimit = 0, 0, 0 // which are not held
	if s.InFlight != 0 || s.Abandoned != 0 || s.Gate.InUse != 0 || s.Gate.Waiting != 0 || s.Pool.Waiting != 0 || s.Spool != (spool.Stats{}) {
		r.t.Errorf("held at the end: %+v", s)
	}
	if n := r.b.app.discards.Len(); n != 0 {
		r.t.Errorf("bodies that are discarded at the end: %d", n)
	}
	for _, in := range s.Pool.Instances {
		if in.Busy+in.Dialing+in.Closing+in.Zombies != 0 {
			r.t.Errorf("connections held at the end: %+v", in)
		}
	}
}

// wantKept checks how many connections to the application are kept, and that no
// request holds anything.
func (r *rig) wantKept(n int) {
	r.t.Helper()
	r.wantNothingHeld()
	if got := r.b.Snapshot().Pool.Instances[0].Idle; got != n {
		r.t.Errorf("%d connections kept, want %d", got, n)
	}
}

// reply is an HTTP response, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // that ended the body too early, or the whole response
	after  time.Duration
}

func (r *rig) do(method, path string, body io.Reader) reply {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://app.test"+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.send(req)
}

func (r *rig) get(path string) reply {
	r.t.Helper()
	return r.do(http.MethodGet, path, nil)
}

func (r *rig) post(path, body string) reply {
	r.t.Helper()
	return r.do(http.MethodPost, path, strings.NewReader(body))
}

func (r *rig) send(req *http.Request) (re reply) {
	started := time.Now()
	defer func() { re.after = time.Since(started) }()
	resp, err := r.client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{status: resp.StatusCode, header: resp.Header, body: string(text), err: err}
}

// start makes a request in a goroutine; the function it returns waits for the
// reply.
func (r *rig) start(method, path string, body io.Reader) func() reply {
	done := make(chan reply, 1)
	go func() { done <- r.do(method, path, body) }()
	synctest.Wait()
	return func() reply { return <-done }
}

// wantPage checks for the page that good scripts answer.
func (r *rig) wantPage(re reply) {
	r.t.Helper()
	if re.status != http.StatusOK || re.body != fcgitest.PageBody || re.err != nil {
		r.t.Errorf("reply %d %q, %v, want the page", re.status, re.body, re.err)
	}
}

// wantError checks for an error page with the given Proxy-Status error type.
func (r *rig) wantError(re reply, status int, kind string) {
	r.t.Helper()
	if re.status != status || re.err != nil {
		r.t.Fatalf("reply %d %q, %v, want %d", re.status, re.body, re.err, status)
	}
	if got, want := re.header.Get("Proxy-Status"), "sluice; error="+kind; got != want {
		r.t.Errorf("Proxy-Status is %q, want %q", got, want)
	}
	if !strings.HasPrefix(re.body, http.StatusText(status)) && !strings.Contains(re.body, http.StatusText(status)) {
		r.t.Errorf("body %q does not name the status", re.body)
	}
	retry := re.header.Get("Retry-After")
	if wanted := status == http.StatusServiceUnavailable; wanted != slices.Contains([]string{"1", "2", "3", "4", "5"}, retry) || !wanted && retry != "" {
		r.t.Errorf("Retry-After is %q", retry)
	}
	o := r.outcome()
	if o.Status != status || string(o.ErrorType) != kind || o.Err == nil || o.Aborted {
		r.t.Errorf("outcome %+v, want %d, %s", o, status, kind)
	}
}

// wantAborted checks that the client saw its connection cut after a part of the
// answer.
func (r *rig) wantAborted(re reply, kind string) {
	r.t.Helper()
	if re.err == nil {
		r.t.Fatalf("reply %d %q looks complete", re.status, re.body)
	}
	o := r.outcome()
	if !o.Aborted || string(o.ErrorType) != kind || o.Err == nil {
		r.t.Errorf("outcome %+v, want aborted, %s", o, kind)
	}
}

// raw connects to the front without an HTTP client.
func (r *rig) raw() net.Conn {
	r.t.Helper()
	c, err := r.front.Dial(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() }) // most tests have closed it
	return c
}

// logBuffer holds log lines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// complaints fails a test with what net/http complains of: superfluous headers,
// panics.
type complaints struct{ t *testing.T }

func (c *complaints) Write(p []byte) (int, error) {
	c.t.Errorf("net/http: %s", p)
	return len(p), nil
}

// requestFor is what a client sends for a target, with header fields as pairs.
func requestFor(t testing.TB, method, target string, header ...string) *http.Request {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Method: method, URL: u, Header: make(http.Header), RequestURI: target, RemoteAddr: "192.0.2.7:40000"}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

const (
	acceptOfPage   = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	acceptOfJQuery = "application/json, text/javascript, */*; q=0.01"
)
