package cgiserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// scgiConn is an SCGI connection. It carries one request.
type scgiConn struct {
	link
	server  *Server
	in      *bufio.Reader
	request *request

	mu    sync.Mutex
	begun bool // the handler was called
}

func newSCGIConn(s *Server, c net.Conn) *scgiConn {
	l := &scgiConn{link: link{net: c, timeout: s.WriteTimeout}, server: s, in: bufio.NewReaderSize(c, readBuffer)}
	l.request = newRequest(s, &l.link, rawFrame{}, func() {})
	return l
}

// drain implements conn.
func (c *scgiConn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun {
		c.cut()
	}
}

// cut implements conn. As for FastCGI, the goroutine that reads may wait for the handler.
func (c *scgiConn) cut() {
	_ = c.net.Close() // serve sees it
	c.request.abort()
}

// serve implements conn. It is the goroutine that reads.
func (c *scgiConn) serve() {
	defer c.net.Close()
	_ = c.net.SetReadDeadline(time.Now().Add(c.server.HeaderTimeout)) // the connection is closed if it fails
	vars, err := c.readHeader()
	r, refused := (*http.Request)(nil), 0
	switch {
	case errors.Is(err, errTooLarge):
		refused = http.StatusRequestHeaderFieldsTooLarge
	case err != nil:
		if _, ok := errors.AsType[*formatError](err); ok {
			c.server.Logger.Warn("a web server breaks the protocol; its connection is closed", "peer", c.net.RemoteAddr().String(), "error", err.Error(), "advice", "see whether the web server is told to speak this protocol here")
		}
		return
	case !c.server.enter():
		refused = http.StatusServiceUnavailable
	default:
		defer c.server.leave()
		r, refused = c.request.incoming(&cgi.Received{Vars: vars})
	}
	c.mu.Lock()
	c.begun = true
	c.mu.Unlock()
	c.server.state(c.net, http.StateActive)
	if c.net.SetReadDeadline(time.Time{}) != nil {
		return // it was closed, to make room for another
	}
	var handler sync.WaitGroup
	defer handler.Wait()
	handler.Go(func() {
		if c.request.run(r, refused) == truncated {
			c.truncate(nil)
			return
		}
		c.end(true)
	})
	length := 0
	if r != nil {
		length = int(r.ContentLength)
	}
	if c.request.in.receive(c.in, length) == nil {
		c.request.in.end(io.EOF)
		_, _ = io.Copy(io.Discard, c.in) // until the web server closes the connection
	}
	c.request.abort()
}

// formatError reports bytes that are no SCGI request.
type formatError struct{ why string }

func (e *formatError) Error() string { return "scgi: " + e.why }

var errTooLarge = errors.New("the variables are larger than MaxParams")

// readHeader reads the variables, a netstring. The variable SCGI, which is the protocol's, is
// not among them.
func (c *scgiConn) readHeader() ([]cgi.Var, error) {
	size := 0
	for digits := 0; ; digits++ {
		b, err := c.in.ReadByte()
		switch {
		case err != nil:
			return nil, err
		case b == ':' && digits > 0:
			return c.readVars(size)
		case b < '0' || b > '9' || digits == 9:
			return nil, &formatError{fmt.Sprintf("a request does not begin with the length of its header (does the peer speak SCGI?): byte %q", b)}
		}
		size = 10*size + int(b-'0')
	}
}

func (c *scgiConn) readVars(size int) ([]cgi.Var, error) {
	if size > int(c.server.maxParams.Load()) {
		return nil, errTooLarge
	}
	header := make([]byte, size+1)
	if _, err := io.ReadFull(c.in, header); err != nil {
		return nil, err
	}
	if header[size] != ',' {
		return nil, &formatError{"the header does not end with a comma"}
	}
	return decodeHeader(string(header[:size]))
}

// decodeHeader decodes the variables: names and values, each with a zero byte behind it.
func decodeHeader(text string) ([]cgi.Var, error) {
	vars, version := make([]cgi.Var, 0, 32), ""
	for first := true; text != ""; first = false {
		name, rest, ok := strings.Cut(text, "\x00")
		value, after, ended := strings.Cut(rest, "\x00")
		switch {
		case !ok || !ended:
			return nil, &formatError{"the header ends within a variable"}
		case name == "SCGI":
			version = value
		case first && name != "CONTENT_LENGTH":
			return nil, &formatError{"the first variable is not CONTENT_LENGTH"}
		case first && (value == "" || strings.Trim(value, "0123456789") != ""):
			return nil, &formatError{fmt.Sprintf("CONTENT_LENGTH %.40q is not a number", value)}
		case !first && name == "CONTENT_LENGTH": // nginx sends the one that is configured after its own
		default:
			vars = append(vars, cgi.Var{Name: name, Value: value})
		}
		text = after
	}
	if version != "1" {
		return nil, &formatError{"there is no variable SCGI with the value 1 (nginx: include scgi_params)"}
	}
	return vars, nil
}
