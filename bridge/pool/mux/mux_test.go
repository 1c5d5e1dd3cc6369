package mux

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
	"github.com/sluice-proxy/sluice/bridge/upstream"
	"github.com/sluice-proxy/sluice/bridge/upstream/fastcgi"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m)) }

var codec fastcgi.Codec

// budget is a Memory that is never exceeded.
type budget struct {
	mu         sync.Mutex
	size       int
	used, most int
	refused    int
}

func (b *budget) Reserve(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.size {
		b.refused++
		return false
	}
	b.used += n
	b.most = max(b.most, b.used)
	return true
}

func (b *budget) Release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
}

// calls is what a connection has called.
type calls struct {
	budget
	retired, lost atomic.Int32
	rechecks      error // the result of Recheck
}

// onConn runs test in bubbles with a connection to an application: one that goroutines drive, and one
// that a loop does. All memory must be released when it is closed.
func onConn(t *testing.T, size int, script fcgitest.Script, test func(t *testing.T, c *Conn, of *calls)) {
	t.Helper()
	for mode, begin := range map[string]func() *testLoop{
		"goroutines": func() *testLoop { return nil },
		"loop":       func() *testLoop { return startTestLoop() },
	} {
		t.Run(mode, func(t *testing.T) { onOneConn(t, size, script, begin, test) })
	}
}

func onOneConn(t *testing.T, size int, script fcgitest.Script, begin func() *testLoop, test func(t *testing.T, c *Conn, of *calls)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		nc, err := fcgitest.Start(t, script).Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		of := &calls{budget: budget{size: size}}
		var in upstream.Buffer
		in.Reset(codec.NewDecoder(), 1<<10)
		cfg := Config{
			Codec: codec, Memory: of, SendTimeout: func() time.Duration { return time.Minute },
			Recheck: func() error { return of.rechecks },
			Retire:  func() { of.retired.Add(1) }, Lost: func() { of.lost.Add(1) },
		}
		loop := begin()
		if loop != nil {
			cfg.Loop, cfg.direct = loop, loop.direct
		}
		c := New(nc, in, cfg)
		test(t, c, of)
		c.Close()
		if loop != nil {
			loop.stop()
		}
		if of.used != 0 {
			t.Errorf("%d bytes of %d were not released", of.used, size)
		}
	})
}

// send sends a request for uri. Next returns the error, if any.
func send(t testing.TB, s *Stream, uri string) {
	t.Helper()
	r := &upstream.Request{Vars: []cgi.Var{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"}, {Name: "REQUEST_URI", Value: uri}}}
	b, unrunBelow, err := codec.AppendHead(nil, s.ID, true, r)
	if err != nil {
		t.Fatal(err)
	}
	s.Begin(r, unrunBelow)
	_ = s.Send(codec.AppendBody(b, s.ID, nil, true), time.Time{})
}

// open opens a stream and sends a request.
func open(t testing.TB, c *Conn, uri string) *Stream {
	t.Helper()
	s := c.Open()
	send(t, s, uri)
	return s
}

// answer reads an answer to its end, and leaves.
func answer(s *Stream) (out string, err error) {
	ended := false
	defer func() { s.Leave(ended) }()
	for {
		ev, err := s.Next(time.Now().Add(time.Hour))
		switch {
		case err != nil:
			return out, err
		case ev.Kind == upstream.End:
			ended = true
			return out, ev.Err
		case ev.Kind == upstream.Output:
			out += string(ev.Data)
		}
	}
}
