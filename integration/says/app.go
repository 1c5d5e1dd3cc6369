// Package says is a FastCGI application that sends the bytes that a test specifies, on one or more
// connections. It is for output that no real application can be made to send.
package says

import (
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// Answer is the answer to a request.
type Answer struct {
	Parts  []string      // of STDOUT, each a record; an empty one is an empty record
	Pause  time.Duration // before each part but the first
	Next   chan struct{} // received from before each part but the first; nil: nothing is waited for
	Late   time.Duration // between STDOUT's end and END_REQUEST
	HangUp bool          // the connection is closed instead of END_REQUEST
}

// Text returns an answer with ordinary records.
func Text(text string) Answer { return Answer{Parts: []string{text, ""}} }

// App serves answers by path: the first element of REQUEST_URI, "" for others.
type App struct {
	Answers map[string]Answer

	listener net.Listener
	over     chan struct{} // closed by Close
	mu       sync.Mutex
	conns    map[net.Conn]bool
	serving  sync.WaitGroup
	asked    []string
}

// Start serves on l until Close.
func (a *App) Start(l net.Listener) {
	a.listener, a.conns, a.over = l, make(map[net.Conn]bool), make(chan struct{})
	a.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			a.conns[c] = true
			a.mu.Unlock()
			a.serving.Go(func() { a.serve(c) })
		}
	})
}

// Close ends all answers, and waits for them.
func (a *App) Close() {
	a.listener.Close()
	close(a.over)
	a.mu.Lock()
	for c := range a.conns {
		c.Close()
	}
	a.mu.Unlock()
	a.serving.Wait()
}

// Asked returns the method and REQUEST_URI of each request so far.
func (a *App) Asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.asked...)
}

func (a *App) serve(c net.Conn) {
	defer func() {
		a.mu.Lock()
		delete(a.conns, c)
		a.mu.Unlock()
		c.Close()
	}()
	for {
		id, vars, ok := request(c)
		if !ok {
			return
		}
		uri := vars["REQUEST_URI"]
		a.mu.Lock()
		a.asked = append(a.asked, vars["REQUEST_METHOD"]+" "+uri)
		a.mu.Unlock()
		path, _, _ := strings.Cut(strings.TrimPrefix(uri, "/"), "?")
		path, _, _ = strings.Cut(path, "/")
		answer, known := a.Answers[path]
		if !known {
			answer = a.Answers[""]
		}
		if !a.say(c, id, answer) {
			return
		}
	}
}

// say sends an answer, and reports whether the connection is used again.
func (a *App) say(c net.Conn, id uint16, answer Answer) bool {
	for i, part := range answer.Parts {
		if i > 0 && !(a.pause(answer.Pause) && a.await(answer.Next)) {
			return false
		}
		record := fcgi.AppendStreamEnd(nil, fcgi.TypeStdout, id)
		if part != "" {
			record = fcgi.AppendStream(nil, fcgi.TypeStdout, id, []byte(part))
		}
		if _, err := c.Write(record); err != nil {
			return false
		}
	}
	if answer.HangUp || !a.pause(answer.Late) {
		return false
	}
	_, err := c.Write(fcgi.AppendEndRequest(nil, id, fcgi.EndRequest{}))
	return err == nil
}

// pause waits for d, and returns false if Close was called.
func (a *App) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.over:
		return false
	}
}

// await waits for the test to go on, and returns false if Close was called.
func (a *App) await(next <-chan struct{}) bool {
	if next == nil {
		return true
	}
	select {
	case <-next:
		return true
	case <-a.over:
		return false
	}
}

// request reads a request with its body.
func request(c net.Conn) (id uint16, vars map[string]string, ok bool) {
	var params []byte
	for {
		head := make([]byte, fcgi.HeaderLen)
		if _, err := io.ReadFull(c, head); err != nil {
			return 0, nil, false
		}
		h, err := fcgi.DecodeHeader(head)
		if err != nil {
			return 0, nil, false
		}
		content := make([]byte, int(h.ContentLength)+int(h.PaddingLength))
		if _, err := io.ReadFull(c, content); err != nil {
			return 0, nil, false
		}
		content = content[:h.ContentLength]
		switch h.Type {
		case fcgi.TypeGetValues:
			if _, err := c.Write([]byte{1, byte(fcgi.TypeGetValuesResult), 0, 0, 0, 0, 0, 0}); err != nil {
				return 0, nil, false
			}
		case fcgi.TypeParams:
			params = append(params, content...)
		case fcgi.TypeStdin:
			if len(content) == 0 {
				return h.RequestID, decode(params), true
			}
		}
	}
}

func decode(params []byte) map[string]string {
	vars := make(map[string]string)
	for len(params) > 0 {
		name, value, rest, err := fcgi.DecodePair(params)
		if err != nil {
			return vars
		}
		vars[string(name)], params = string(value), rest
	}
	return vars
}
