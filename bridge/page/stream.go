package page

import (
	"bytes"
	"net/http"
	"sync"
	"time"
)

// stream sends states to viewers: each is encoded once for all of them.
type stream struct {
	most int

	mu      sync.Mutex
	viewers map[chan []byte]struct{} // each holds one state, which the next one replaces
	// servers have a channel each, which is closed when the server shuts down. It would wait for
	// the streams, which have no end.
	servers map[*http.Server]chan struct{}
}

// shutdown returns a channel that is closed when the server of r shuts down; nil if that is not known.
func (s *stream) shutdown(r *http.Request) <-chan struct{} {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.servers[server]
	if c == nil {
		c = make(chan struct{})
		s.servers[server] = c
		server.RegisterOnShutdown(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.servers, server)
			close(c)
		})
	}
	return c
}

// writeTimeout is how long a viewer may take nothing of a state.
const writeTimeout = 10 * time.Second

// watched reports whether there is a viewer.
func (s *stream) watched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.viewers) > 0
}

func (s *stream) enter() (v chan []byte, admitted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.viewers) >= s.most {
		return nil, false
	}
	v = make(chan []byte, 1)
	s.viewers[v] = struct{}{}
	return v, true
}

func (s *stream) leave(v chan []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.viewers, v)
}

// send gives a state to all viewers. Those that have not taken the last one get this one instead.
func (s *stream) send(state []byte) {
	event := bytes.Join([][]byte{[]byte("data: "), state, []byte("\n\n")}, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	for v := range s.viewers {
		select {
		case <-v:
		default:
		}
		v <- event // there is room: nobody else sends
	}
}

// serve sends states until the client leaves, or closing is closed.
func (s *stream) serve(w http.ResponseWriter, r *http.Request, closing <-chan struct{}) {
	if r.Method != http.MethodGet {
		return
	}
	v, admitted := s.enter()
	if !admitted {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "503 Service Unavailable: too many browsers show the page already", http.StatusServiceUnavailable)
		return
	}
	defer s.leave(v)
	shutdown := s.shutdown(r)
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // else the server ends the connection; a server without deadlines has none to lift
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	event := []byte("retry: 1000\n\n")
	for {
		_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := w.Write(event); err != nil {
			return
		}
		if rc.Flush() != nil {
			return
		}
		select {
		case event = <-v:
		case <-r.Context().Done():
			return
		case <-closing:
			return
		case <-shutdown:
			return
		}
	}
}
