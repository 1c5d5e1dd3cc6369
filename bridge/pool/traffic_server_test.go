package pool

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// server is one instance of an application. It answers when it is told to.
type server struct {
	t       *testing.T
	shares  bool // it multiplexes
	forced  bool // the pool does not ask
	workers int

	mu    sync.Mutex
	down  error // why it cannot be connected to; os.ErrDeadlineExceeded: nobody answers
	holds int   // connections; more are closed at once
	quiet bool  // it does not answer GET_VALUES
	depth int   // what it says of its accept queue; negative: it cannot tell
	conns map[*served]bool
	todo  []*job
}

// served is the application's end of a connection.
type served struct {
	*fcgitest.Conn
	live map[uint16]*job // begun, and not ended by the application
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
	c := &served{far, make(map[uint16]*job)}
	s.conns[c] = true
	if len(s.conns) > s.workers {
		s.t.Errorf("%d connections, %d workers", len(s.conns), s.workers)
	}
	go s.read(c)
	return near, nil
}

// read takes what comes on a connection.
func (s *server) read(c *served) {
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
		s.take(c, h, content[:h.ContentLength])
	}
}

func (s *server) take(c *served, h fcgi.Header, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := c.live[h.RequestID]
	switch h.Type {
	case fcgi.TypeGetValues:
		if !s.quiet {
			value := map[bool]string{true: "1", false: "0"}[s.shares]
			s.send(c, fcgitest.Record(fcgitest.GetValuesResult, 0, fcgitest.Pairs(fcgitest.Param{Name: fcgi.MpxsConns, Value: value})))
		}
	case fcgi.TypeBeginRequest:
		if j != nil || h.RequestID == 0 {
			s.t.Errorf("request id %d is begun again", h.RequestID)
		}
		if len(c.live) > 0 && !s.shares && !s.forced {
			s.t.Errorf("request %d is begun while another is in progress", h.RequestID)
		}
		c.live[h.RequestID] = &job{on: c, id: h.RequestID}
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
			s.todo = append(s.todo, j)
		}
	}
}

// end ends a request. The id is free before the other side can know.
func (s *server) end(j *job, status byte) {
	delete(j.on.live, j.id)
	s.send(j.on, fcgitest.EndStatus(j.id, status))
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
