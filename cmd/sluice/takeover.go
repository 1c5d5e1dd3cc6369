package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/handover"
)

// predecessor is the process whose place this one takes, until that has ended. A nil predecessor was
// never there.
type predecessor struct {
	link *handover.Predecessor

	mu   sync.Mutex
	held handover.Held
	all  bool // it has everything: it has not let this process begin
	gone atomic.Bool

	serving bool          // the former process was told so
	ended   chan struct{} // closed when that has ended, or is let alone
}

func newPredecessor(link *handover.Predecessor) *predecessor {
	if link == nil {
		return nil
	}
	return &predecessor{link: link, all: true, ended: make(chan struct{})}
}

// holds reports whether the former process still has something.
func (p *predecessor) holds() bool { return p != nil && !p.gone.Load() }

// receive takes the sockets that were handed over.
func (s *sockets) receive(list []handover.Socket) error {
	for _, from := range list {
		if from.Key == "" {
			s.systemd.Add(from.Name, from.File)
			continue
		}
		l, err := net.FileListener(from.File) // has a descriptor of its own
		if err = errors.Join(err, from.File.Close()); err != nil {
			return fmt.Errorf("the socket of %s %s, which the former process hands over: %w", from.Key, from.Addr, err)
		}
		one := &socket{Listener: l}
		one.endpoint = endpoint{key: from.Key, addr: from.Addr, mode: config.FileMode(from.Mode), owner: from.Owner, group: from.Group}
		s.open = append(s.open, one)
	}
	return nil
}

// offer returns the sockets for another process. The files are the caller's.
func (s *sockets) offer() (list []handover.Socket, err error) {
	defer func() {
		if err != nil {
			closeFiles(list)
		}
	}()
	for _, one := range s.open {
		file, err := socketFile(one.Listener)
		if err != nil {
			return list, fmt.Errorf("%s %s: %w", one.key, one.addr, err)
		}
		to := handover.Socket{Key: one.key, Addr: one.addr, Mode: uint32(one.mode), Owner: one.owner, Group: one.group, File: file}
		if one.inherited {
			to = handover.Socket{Name: one.name, File: file}
		}
		list = append(list, to)
	}
	// A later version of the configuration may name those.
	err = s.systemd.Each(func(name string, file *os.File) { list = append(list, handover.Socket{Name: name, File: file}) })
	return list, err
}

func closeFiles(list []handover.Socket) {
	for _, s := range list {
		_ = s.File.Close() // the other process has a descriptor of its own
	}
}

// handedOver ends accepting at all sockets, which another process has by now.
func (s *sockets) handedOver() {
	var all sync.WaitGroup
	for _, one := range s.open {
		all.Go(func() {
			one.ownFile(false)
			one.stopAccepting()
			_ = one.Close() // it stays open in the other process
		})
	}
	all.Wait()
	s.open = nil
}

// ownFiles has the files of unix sockets removed in the end.
func (s *sockets) ownFiles() {
	for _, one := range s.open {
		one.ownFile(!one.inherited)
	}
}

// ownFile says whether the file of a unix socket is removed when the socket is closed.
func (s *socket) ownFile(own bool) {
	if unix, ok := s.Listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(own)
	}
}

// takeOver begins in place of the former process, if there is one, when all is ready.
func (s *server) takeOver(ctx context.Context) error {
	p := s.predecessor
	if p == nil {
		return nil
	}
	for _, a := range s.front.current.Load().applications() {
		if err := a.Application.Application().AwaitReady(ctx); err != nil {
			return &runError{fmt.Errorf("%w (application %s)", err, a.name)}
		}
	}
	held, err := p.link.Ready(ctx)
	if err != nil {
		return &runError{err}
	}
	p.set(held, false)
	s.leaveTo(s.front.current.Load())
	return nil
}

// begin tells the former process that this one serves, and follows what that one has, until it ends.
func (p *predecessor) begin(s *server) {
	if p == nil {
		return
	}
	_ = p.link.Serving() // the former process may have ended just now
	s.sockets.ownFiles()
	p.serving = true
	s.leaveRemoved()
	go func() {
		defer close(p.ended)
		p.follow(s)
	}()
}

// follow shares the workers with the former process.
func (p *predecessor) follow(s *server) {
	for {
		held, main, err := p.link.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.rest(killedGrace) // it was killed: the applications need a moment to notice
			}
			break
		}
		if main {
			s.tellServing()
			continue
		}
		p.set(held, false)
		s.leaveAll()
	}
	p.set(nil, false)
	s.leaveAll()
	p.gone.Store(true)
	if s.life.Err() == nil { // otherwise it was let alone
		s.log.Info("the former process has ended; this one has all workers")
	}
}

// tellServing tells systemd that this process serves.
func (s *server) tellServing() {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.notifier.Ready(s.serving)
}

// killedGrace is how long the connections of a process that was killed may count.
const killedGrace = time.Second

// rest waits, unless this process is to end.
func (s *server) rest(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.life.Done():
	}
}

// end lets the former process alone, if it has let this one begin.
func (p *predecessor) end() {
	if p == nil || !p.serving {
		return
	}
	p.link.Close()
	<-p.ended
}

func (p *predecessor) set(held handover.Held, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.all = held, all
}

// leaveAll has all applications that are in force leave the former process what it has.
func (s *server) leaveAll() {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.leaveTo(s.front.current.Load())
}

// leaveTo has the applications of a generation leave the former process what it has.
func (s *server) leaveTo(g *generation) {
	p := s.predecessor
	if !p.holds() {
		return
	}
	p.mu.Lock()
	held, all := p.held, p.all
	p.mu.Unlock()
	for _, a := range g.applications() {
		a.Application.Application().LeaveTo(held, all)
	}
}
