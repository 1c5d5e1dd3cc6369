package main

import (
	"errors"
	"net"
	"runtime"

	"github.com/sluice-proxy/sluice/bridge/config"
	evented "github.com/sluice-proxy/sluice/bridge/front"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/accepted"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
	"github.com/sluice-proxy/sluice/internal/halfclose"
)

// checkFront refuses event loops where there are none.
func (s *setup) checkFront() error {
	switch {
	case s.Server.Front != config.FrontLoop:
		return nil
	case !evented.Supported:
		return errors.New("front: is loop, and this system has no epoll; leave it out, or write net")
	case s.Server.WebServerRefusal == config.RefusalOverloaded && !s.onlyWebServers():
		return errors.New("web_server_refusal: is overloaded, and front is loop, in which only 503 is known; leave one of them out")
	}
	return nil
}

// inLoops reports whether HTTP is to be served in event loops. They cannot refuse as web servers may be
// refused, so without a choice both are served by net/http.
func (s *setup) inLoops() bool {
	switch {
	case !evented.Supported || s.onlyWebServers():
		return false
	case s.Server.Front == "":
		return s.Server.WebServerRefusal != config.RefusalOverloaded
	}
	return s.Server.Front == config.FrontLoop
}

// loops is how many event loops there are: fewer than processors, of which the application needs
// some, and one loop does more in a turn than two.
func loops() int { return min(max(runtime.GOMAXPROCS(0)/2, 1), 8) }

// handedOver are the connections that loops leave to an http.Server.
type handedOver struct {
	net.Listener
	limit *connlimit.Limit
}

// Accept implements net.Listener.
func (h *handedOver) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err != nil {
		return nil, err
	}
	handed := c.(*evented.Handed)
	key := handed.Key
	handed.Conn = halfclose.Config{
		Permit: func(net.Conn) bool { return h.limit.Permit(key) },
		Done:   func(net.Conn) { h.limit.Done(key) },
	}.Wrap(handed.Conn)
	return handed, nil
}

// counted returns what the limit knows a connection as.
func counted(c net.Conn) net.Conn {
	if handed, ok := c.(*evented.Handed); ok {
		return handed.Key
	}
	return c
}

// halfClosing returns the connection whose end may be hidden.
func halfClosing(c net.Conn) net.Conn {
	switch c := c.(type) {
	case *evented.Handed:
		return c.Conn
	case *accepted.Conn:
		return c.Conn
	}
	return c
}
