package main

import (
	"log/slog"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// frontChange is what the next version of the configuration changes of the front: where it listens, and
// its access log. It is ended once, after commit or without.
type frontChange struct {
	of        *server
	setup     *setup
	sockets   *socketChange
	access    *accessChange
	before    *challengeAddress
	port      int
	most      int // connections of clients
	waiting   int // and how many more
	committed bool
}

// prepareFront does all that can fail. The certificate authority of the next version is told where it
// will listen. The change is nil if nothing listens.
func (s *server) prepareFront(c *setup) (_ *frontChange, err error) {
	if s.sockets == nil {
		return nil, nil
	}
	s.leaving.Wait() // an address that was left just now can be taken again
	f := &frontChange{of: s, setup: c, before: s.reach}
	defer func() {
		if err != nil {
			f.end()
		}
	}()
	files, err := descriptorLimit()
	if err != nil {
		return nil, err
	}
	if f.most, f.waiting, err = c.connections(files); err != nil {
		return nil, err
	}
	if f.access, err = s.access.prepare(c.Server.AccessLog, c.Server.AccessLogFormat); err != nil {
		return nil, err
	}
	if f.sockets, err = s.sockets.prepare(c); err != nil {
		return nil, err
	}
	if err = s.clients.prepare(f.sockets, c, f.most); err != nil {
		return nil, err
	}
	s.reach, f.port = f.sockets.reachable(c)
	return f, nil
}

// commit listens. Connections that were accepted at an address which is gone are served on.
func (f *frontChange) commit() {
	if f == nil {
		return
	}
	s := f.of
	f.committed = true
	s.most, s.waiting = f.most, f.waiting
	f.access.commit()
	s.front.securePort.Store(int32(f.port))
	if len(f.sockets.listeners(protocolStatus)) > 0 && s.status == nil {
		s.status = s.newStatus(f.setup)
	}
	if s.status != nil {
		s.status.hosts.Store(new(f.setup.statusHosts()))
	}
	s.removed = s.clients.commit(f.sockets, f.setup)
	if p := s.predecessor; p == nil || p.serving { // otherwise it may need them yet
		s.leaveRemoved()
	}
	f.warnUnencrypted()
	s.serving = "Serving at " + listening(f.sockets)
}

// leaveRemoved closes the sockets that no version has any more.
func (s *server) leaveRemoved() {
	s.leaving.Go(s.sockets.leave(s.removed))
	s.removed = nil
}

// end undoes what was prepared, unless it was committed.
func (f *frontChange) end() {
	if f == nil || f.committed {
		return
	}
	f.of.reach = f.before
	if f.sockets != nil {
		f.sockets.cancel()
	}
	if f.access != nil {
		f.access.cancel()
	}
}

// warnUnencrypted tells the log of passwords that others can read.
func (f *frontChange) warnUnencrypted() {
	c := f.setup
	for _, l := range f.sockets.listeners(protocolHTTP) {
		for _, site := range c.Sites {
			if unencrypted(site, l.Addr()) && !(f.port > 0 && site.TLS.Redirect == config.On) {
				f.of.log.Warn("passwords are sent unencrypted: there is no TLS on this address; listen on 127.0.0.1 or a unix socket behind a proxy with TLS, and name the proxy with "+c.nameOf("trusted_proxies"), slog.String("listen", l.Addr().String()))
				break
			}
		}
	}
}

// listen is where clients connect to, for the log.
func (f *frontChange) listen() string {
	if f == nil {
		return ""
	}
	return listening(f.sockets)
}
