package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// polls is clients that wait for an answer that never arrives.
type polls struct {
	conns   []net.Conn
	readers sync.WaitGroup
	closing atomic.Bool
	over    atomic.Int64 // that were answered, or cut, all the same
}

// openPolls sends n requests to addr, each from a client of its own.
func openPolls(ctx context.Context, addr string, n int) (*polls, error) {
	p := new(polls)
	for i := range n {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			p.close()
			return nil, err
		}
		p.conns = append(p.conns, c)
		if _, err := c.Write(pollRequest(addr, i)); err != nil {
			p.close()
			return nil, err
		}
		p.readers.Go(func() {
			_, _ = c.Read(make([]byte, 1)) // what it was is of no interest
			if !p.closing.Load() {
				p.over.Add(1)
			}
		})
	}
	return p, nil
}

// pollRequest returns the request of client n.
func pollRequest(host string, n int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "GET /hold/10m HTTP/1.1\r\nHost: %s\r\n", host)
	for _, h := range browserHeaders {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	fmt.Fprintf(&b, "Cookie: "+cookie+"\r\n\r\n", n)
	return []byte(b.String())
}

// waiting checks that no poll was answered.
func (p *polls) waiting() error {
	if n := p.over.Load(); n > 0 {
		return fmt.Errorf("%d of %d polls were not held", n, len(p.conns))
	}
	return nil
}

func (p *polls) close() {
	p.closing.Store(true)
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.readers.Wait()
}
