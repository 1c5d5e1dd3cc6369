package pool

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// server is one instance of an application. The test says when it answers.
type server struct {
	t       *testing.T
	shares  bool // it multiplexes
	forced  bool // the pool sends no queries
	libfcgi bool // it answers as libfcgi does
	locks   bool // a kept connection that is not used stops all others
	worksOn bool // it may work on after an answer, and takes nothing meanwhile
	workers int

	mu    sync.Mutex
	down  error // why it cannot be connected to; os.ErrDeadlineExceeded: nobody answers
	holds int   // connections; more are closed at once
	quiet bool  // it does not answer GET_VALUES
	depth int   // what it says of its accept queue; negative: it cannot tell
	conns map[*served]bool
	todo  []*job
	read  map[string]bool // requests that it has read, by their URI
}

// served is the application's end of a connection.
type served struct {
	*fcgitest.Conn
	live map[uint16]*job // begun, and not ended by the application
	keep bool            // the request that ended last asked for that
	back chan struct{}   // closed when it takes what comes next; nil if it does
}

// job is a request that an application has read.
type job struct {
	on  *served
	id  uint16
	uri string
}

func (s *server) dial(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down == os.ErrDeadlineExceeded {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return nil, ctx.Err()
	}
	if s.down != nil {
		return nil, s.down
	}
	near, far := fcgitest.Pipe()
	if len(s.conns) >= s.holds {
		_ = far.Close()
		return near, nil
	}
	c := &served{Conn: far, live: make(map[uint16]*job)}
	s.conns[c] = true
	if len(s.conns) > s.workers {
		s.t.Errorf("%d connections, %d workers", len(s.conns), s.workers)
	}
	go s.serve(c)
	return near, nil
}

// serve takes what comes on a connection.
func (s *server) serve(c *served) {
	defer s.close(c)
	for {
		head := make([]byte, fcgi.HeaderLen)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		h, err := fcgi.DecodeHeader(head)
		if err != nil {
			s.t.Error(err)
			return
		}
		content := make([]byte, int(h.ContentLength)+int(h.PaddingLength))
		if _, err := io.ReadFull(c, content); err != nil {
			return
		}
		if !s.unlocked(c) {
			return
		}
		s.take(c, h, content[:h.ContentLength])
	}
}

// unlocked waits until no other kept connection stops a new one, and reports whether c is
// still there. It polls: there is no event for that.
func (s *server) unlocked(c *served) bool {
	for {
		s.mu.Lock()
		stopped := false
		for other := range s.conns {
			stopped = stopped || s.locks && !c.keep && other != c && other.keep && len(other.live) == 0
		}
		here := s.conns[c]
		s.mu.Unlock()
		if !stopped || !here {
			return here
		}
		time.Sleep(time.Millisecond)
	}
}

// unread is what a connection has not read: something, exactly while it is at work.
func (s *server) unread(near net.Conn) Unread {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &work{s, near}
}

// work is the Unread of a connection whose process may work on.
type work struct {
	s    *server
	near net.Conn
}

// until is closed when the process is back; nil if it is.
func (w *work) until() <-chan struct{} {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	for c := range w.s.conns {
		if c.Conn.IsPeer(w.near) {
			return c.back
		}
	}
	return nil
}

func (w *work) Any() (bool, error)  { return w.until() != nil, nil }
func (w *work) Bytes() (int, error) { return 0, nil }

func (w *work) Await(ctx context.Context) error {
	back := w.until()
	if back == nil {
		return nil
	}
	select {
	case <-back:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *work) AwaitUntil(t time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), t)
	defer cancel()
	return w.Await(ctx)
}

func (s *server) take(c *served, h fcgi.Header, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := c.live[h.RequestID]
	switch h.Type {
	case fcgi.TypeGetValues:
		if !s.quiet {
			s.send(c, fcgitest.Record(fcgitest.GetValuesResult, 0, s.values(content)))
		}
	case fcgi.TypeBeginRequest:
		if j != nil || h.RequestID == 0 {
			s.t.Errorf("request id %d is begun again", h.RequestID)
		}
		if c.back != nil {
			s.t.Errorf("request %d is sent to a process that is at work", h.RequestID)
		}
		if len(c.live) > 0 && !s.shares && !s.forced {
			s.t.Errorf("request %d is begun while another is in progress", h.RequestID)
		}
		c.live[h.RequestID] = &job{on: c, id: h.RequestID}
		c.keep = content[2]&fcgi.FlagKeepConn != 0
	case fcgi.TypeParams:
		if _, value, _, err := fcgi.DecodePair(content); err == nil && j != nil {
			j.uri = string(value)
		}
	case fcgi.TypeStdin:
		switch {
		case len(content) > 0 || j == nil:
		case !s.shares && len(c.live) > 1:
			s.end(j, fcgitest.CantMpxConn)
		default:
			s.read[j.uri] = true
			s.todo = append(s.todo, j)
		}
	}
}

// values is the reply to a query.
func (s *server) values(query []byte) []byte {
	name, _, _, err := fcgi.DecodePair(query)
	switch {
	case err != nil:
		s.t.Error(err)
	case string(name) == fcgi.MpxsConns:
		return fcgitest.Pairs(fcgitest.Param{Name: fcgi.MpxsConns, Value: map[bool]string{true: "1", false: "0"}[s.shares]})
	case s.libfcgi:
		return fcgitest.Pairs(fcgitest.Param{Name: string(name), Value: "1"})
	}
	return nil
}

// end ends a request. The id is free before the other side can know. One that was not to
// be kept is closed.
func (s *server) end(j *job, status byte) {
	delete(j.on.live, j.id)
	s.send(j.on, fcgitest.EndStatus(j.id, status))
	if !j.on.keep && s.libfcgi {
		s.drop(j.on)
	}
}

// workOn has a process be at work after an answer, for a while.
func (s *server) workOn(c *served, d time.Duration) {
	if !s.worksOn || c.back != nil {
		return
	}
	back := make(chan struct{})
	c.back = back
	time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.back = nil
		close(back)
	})
}

// send writes records, unless the connection is gone.
func (s *server) send(c *served, b []byte) { _, _ = c.Write(b) }

// answer answers a request, well or badly, and reports whether there was one.
func (s *server) answer(rng *rand.Rand) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.todo) == 0 {
		return false
	}
	i := rng.IntN(len(s.todo))
	j := s.todo[i]
	s.todo = slices.Delete(s.todo, i, i+1)
	switch n := rng.IntN(20); {
	case !s.conns[j.on]:
	case n == 0:
		s.end(j, fcgitest.Overloaded)
	case n == 1:
		s.send(j.on, fcgitest.Out(j.id, "some"))
		s.drop(j.on)
	case n == 2:
		s.send(j.on, fcgitest.Out(j.id, "uri="+j.uri))
		s.end(j, fcgitest.RequestComplete)
		s.drop(j.on)
	case n == 3 && s.shares:
		s.send(j.on, fcgitest.Out(j.id, "uri="+j.uri))
		s.end(j, fcgitest.RequestComplete)
		s.end(j, fcgitest.RequestComplete)
	default:
		s.send(j.on, fcgitest.Out(j.id, "uri="))
		s.send(j.on, fcgitest.Out(j.id, j.uri))
		if rng.IntN(8) == 0 {
			s.send(j.on, fcgitest.Out(j.id, strings.Repeat(" ", 1+rng.IntN(60_000))))
		}
		if rng.IntN(3) == 0 {
			s.workOn(j.on, time.Duration(rng.IntN(4000))*time.Millisecond)
		}
		s.end(j, fcgitest.RequestComplete)
	}
	return true
}

// kill ends a connection, whatever it is doing.
func (s *server) kill(rng *rand.Rand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if rng.IntN(len(s.conns)) == 0 {
			_ = c.Reset()
			return
		}
	}
}

// change lets the server go away, come back, or hold more or fewer connections.
func (s *server) change(rng *rand.Rand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		s.down = nil
		return
	}
	switch rng.IntN(5) {
	case 0:
		s.down = []error{syscall.ECONNREFUSED, syscall.EAGAIN, os.ErrDeadlineExceeded, errors.New("no route to host")}[rng.IntN(4)]
		for c := range s.conns {
			_ = c.Close()
		}
	case 1:
		s.quiet = !s.quiet
	case 2:
		s.depth = rng.IntN(5) - 1
	default:
		s.holds = 1 + rng.IntN(s.workers)
	}
}

// queue has little to do with how many connections are accepted, as if others had made
// them.
func (s *server) queue() (depth, backlog int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.depth < 0 {
		return 0, 0, errors.ErrUnsupported
	}
	return s.depth, 128, nil
}

// recover lets the server hold what it should.
func (s *server) recover() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.holds = nil, s.workers
}

// drop closes a connection and forgets it.
func (s *server) drop(c *served) {
	_ = c.Close()
	delete(s.conns, c)
}

func (s *server) close(c *served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c)
}

func (s *server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}
