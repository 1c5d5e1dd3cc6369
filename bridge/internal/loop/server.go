//go:build linux

package loop

import (
	"net"
	"net/http"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/blocking"
)

// Site is what answers a request.
type Site = blocking.Served

// Config says what a Server serves, and how long it waits for clients. All functions must be set, and
// are called by loops: they must not block.
type Config struct {
	// Find returns the site that a request is for; nil if the request is one for net/http.
	Find func(*http.Request) *Site
	// Track is what http.Server.ConnState is, but for http.StateNew. The connections are *Conn.
	Track func(net.Conn, http.ConnState)
	// Permit reports whether a client that has closed its sending side may wait for its answer, and
	// Done is called when one that may does not wait any more.
	Permit func(net.Conn) bool
	Done   func(net.Conn)
	// HeaderTimeout is how long a header may take, IdleTimeout how long a connection is kept
	// without a request; 0: no limit.
	HeaderTimeout, IdleTimeout time.Duration
	// MaxHeader is how many bytes a header may have, with the request line.
	MaxHeader int
	// Loops is how many loops there are, at least 1.
	Loops int
}

// Server serves clients in loops.
type Server struct {
	Config
	loops  []*loop
	handed *handed
	tails  tails
}

// New returns a server. Close ends it.
func New(cfg Config) (*Server, error) {
	s := &Server{Config: cfg, handed: newHanded()}
	for range cfg.Loops {
		l, err := newLoop(s)
		if err != nil {
			_ = s.Close() // err says more
			return nil, err
		}
		s.loops = append(s.loops, l)
		go l.run()
	}
	return s, nil
}

// Supported reports whether there are loops on this system.
const Supported = true

// Handed returns the listener of the connections that are handed over, as *Handed. Their server must
// use Track for Handed.Key.
func (s *Server) Handed() net.Listener { return s.handed }

// Serve serves the connections that l accepts, each of them a *Conn, until l fails. It returns l's
// error.
func (s *Server) Serve(l net.Listener) error {
	s.handed.mu.Lock()
	s.handed.addr = l.Addr()
	s.handed.mu.Unlock()
	for n := 0; ; n++ {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		conn, to := c.(*Conn), s.loops[n%len(s.loops)]
		if !to.post(func() { to.add(conn) }) {
			_ = conn.Close() // nobody will serve it
			s.track(conn, http.StateClosed)
		}
	}
}

// Cut ends all requests with why, which is the error of their contexts.
func (s *Server) Cut(why error) {
	for _, l := range s.loops {
		l.post(func() {
			for _, c := range l.clients {
				if c != nil && c.call != nil {
					c.cut(why)
				}
			}
			s.cutTails(l, why, false)
		})
	}
}

// Close ends all connections, and waits for their requests.
func (s *Server) Close() error {
	for _, l := range s.loops {
		l.stop()
		s.cutTails(l, errStopped, true)
	}
	err := s.handed.Close()
	s.tails.Wait()
	return err
}

func (s *Server) track(c *Conn, state http.ConnState) { s.Track(c, state) }
