package main

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	evented "github.com/sluice-proxy/sluice/bridge/front"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/lastcall"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/systemd"
)

// socket is an address that is listened at. It keeps the socket open over versions of the
// configuration; connections are accepted by way of descriptors of their own.
type socket struct {
	frontEndpoint          // as it is in force
	net.Listener           // nobody accepts from it
	name          string   // by which systemd has handed it over
	proxies       []string // proxy_protocol of those that are accepted
	stop          func() error
}

// place is where a socket is in the next version.
type place struct {
	*socket
	as      frontEndpoint
	proxies []string
	accepts net.Listener // nil: connections are accepted as before
}

// sockets are all that is listened at. Prepare, and then commit or cancel, are not called concurrently.
type sockets struct {
	log     *slog.Logger
	inLoops bool             // HTTP is served so
	systemd *systemd.Sockets // those that no address names
	open    []*socket
}

// socketChange is what the next version of the configuration listens at.
type socketChange struct {
	of     *sockets
	places []place
	opened []*socket // that were not open before
	undo   []func()
}

// prepare opens the addresses of a setup that are not open yet, and sets the permissions of those
// that are. Nothing is accepted or closed until commit.
func (s *sockets) prepare(c *setup) (_ *socketChange, err error) {
	list, err := c.endpoints()
	if err != nil {
		return nil, err
	}
	if c.Server.Status != "off" {
		list = append(list, frontEndpoint{endpoint: *c.statusEndpoint(), protocol: protocolStatus})
	}
	// What has no name is what those with names leave.
	slices.SortStableFunc(list, func(a, b frontEndpoint) int { return cmp.Compare(a.rank(), b.rank()) })
	change := &socketChange{of: s}
	defer func() {
		if err != nil {
			change.cancel()
		}
	}()
	for _, e := range list {
		if err := change.add(e, c); err != nil {
			return nil, err
		}
	}
	if left := s.systemd.Names(); len(left) > 0 {
		s.log.Warn("systemd has handed over sockets that nothing listens at; name them in "+c.nameOf("listen")+", such as systemd:"+left[0], "sockets", strings.Join(left, " "))
	}
	return change, nil
}

// add finds the sockets of an address, or opens it.
func (c *socketChange) add(e frontEndpoint, of *setup) error {
	if e.inherited {
		kept := c.here(&e)
		for _, here := range kept {
			if err := c.put(here, e, of); err != nil {
				return err
			}
		}
		if len(kept) > 0 && e.addr != fromSystemd {
			return nil
		}
		taken, err := e.takeAll(c.of.systemd, len(kept) > 0)
		for _, l := range taken {
			one := &socket{frontEndpoint: e, Listener: l.Listener, name: l.Name}
			c.opened = append(c.opened, one)
			err = errors.Join(err, c.put(one, e, of))
		}
		return err
	}
	if kept := c.here(&e); len(kept) > 0 {
		if err := c.permit(kept[0], &e); err != nil {
			return err
		}
		return c.put(kept[0], e, of)
	}
	l, err := e.listen()
	if err != nil {
		return err
	}
	one := &socket{frontEndpoint: e, Listener: l}
	c.opened = append(c.opened, one)
	return c.put(one, e, of)
}

// here returns the sockets of an address that are open and have no place yet.
func (c *socketChange) here(e *frontEndpoint) (list []*socket) {
	for _, s := range c.of.open {
		if s.isAt(e) && !slices.ContainsFunc(c.places, func(p place) bool { return p.socket == s }) {
			if list = append(list, s); !e.inherited {
				break // a port that the system chooses may be there twice
			}
		}
	}
	return list
}

// isAt reports whether the socket is that of an address.
func (s *socket) isAt(e *frontEndpoint) bool {
	switch {
	case s.inherited != e.inherited:
		return false
	case e.inherited:
		name, _ := cutSystemd(e.addr)
		return name == "" || name == s.name
	case s.addr == e.addr && s.key == e.key:
		return true // even if the system has chosen the port
	}
	return s.addr == e.addr && isUnix(e.addr) || !isUnix(s.addr) && !isUnix(e.addr) && samePort(s.addr, e.addr)
}

// samePort reports whether two addresses are the same TCP port, which is not for the system to choose.
func samePort(a, b string) bool {
	one, err := net.ResolveTCPAddr("tcp", a)
	other, err2 := net.ResolveTCPAddr("tcp", b)
	return err == nil && err2 == nil && one.Port != 0 && one.String() == other.String()
}

// put gives a socket its place.
func (c *socketChange) put(s *socket, e frontEndpoint, of *setup) error {
	p := place{socket: s, as: e}
	if e.protocol == protocolHTTP || e.protocol == protocolHTTPS {
		p.proxies = of.Server.ProxyProtocol
	}
	if s.stop == nil || s.protocol != e.protocol || !slices.Equal(s.proxies, p.proxies) {
		l, err := again(s.Listener)
		if err == nil && c.of.inLoops && e.protocol == protocolHTTP && len(p.proxies) == 0 {
			l, err = inLoop(l)
		}
		if err != nil {
			return e.errorf("%w", err)
		}
		p.accepts = l
	}
	c.places = append(c.places, p)
	if e.protocol != protocolStatus && p.accepts != nil {
		seen := e.seen(s.Addr())
		seen.warn(s.Addr(), slices.Concat(of.trustedProxies(), of.Server.ProxyProtocol), c.of.log)
	}
	return nil
}

// socketFile returns a file of a socket, which is TCP or unix.
func socketFile(l net.Listener) (*os.File, error) {
	return l.(interface{ File() (*os.File, error) }).File()
}

// again returns another descriptor of a socket.
func again(l net.Listener) (net.Listener, error) {
	file, err := socketFile(l)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return net.FileListener(file)
}

// inLoop has connections of l accepted for event loops.
func inLoop(l net.Listener) (net.Listener, error) {
	made, err := evented.Listen(l)
	if err != nil {
		_ = l.Close() // nothing was accepted
	}
	return made, err
}

// permit sets the permissions of an open unix socket if they are others now.
func (c *socketChange) permit(s *socket, e *frontEndpoint) error {
	if !hasFile(e.addr) || s.mode == e.mode && s.owner == e.owner && s.group == e.group {
		return nil
	}
	path := s.Addr().String()
	info, err := os.Stat(path)
	if err != nil {
		return e.errorf("%w", err)
	}
	was := info.Sys().(*syscall.Stat_t)
	c.undo = append(c.undo, func() {
		_ = errors.Join(os.Chown(path, int(was.Uid), int(was.Gid)), os.Chmod(path, info.Mode().Perm())) // they were possible before
	})
	owned := *e
	if e.owner == "" && s.owner != "" {
		owned.owner = strconv.Itoa(os.Geteuid())
	}
	if e.group == "" && s.group != "" {
		owned.group = strconv.Itoa(os.Getegid())
	}
	if err := owned.permit(path); err != nil {
		return e.errorf("%w", err)
	}
	return nil
}

// cancel closes what was opened, and undoes what was changed.
func (c *socketChange) cancel() {
	for _, p := range c.places {
		if p.accepts != nil {
			_ = p.accepts.Close() // nothing was accepted
		}
	}
	for _, s := range c.opened {
		s.release(c.of.systemd)
	}
	for _, undo := range c.undo {
		undo()
	}
}

// release closes a socket at which nothing was accepted, or gives it back.
func (s *socket) release(to *systemd.Sockets) {
	if s.inherited {
		if file, err := socketFile(s.Listener); err == nil {
			to.Add(s.name, file)
		}
	}
	_ = s.Close() // it is of no use any more
}

// commit accepts by way of serve, and returns the sockets that have no place any more: they are the
// caller's.
func (c *socketChange) commit(serve func(*socket, net.Listener) (stop func() error)) (removed []*socket) {
	s := c.of
	before := s.open
	s.open = nil
	for _, p := range c.places {
		if p.accepts != nil {
			p.stopAccepting() // connections wait for the next
		}
		p.frontEndpoint, p.socket.proxies = p.as, p.proxies
		s.open = append(s.open, p.socket)
	}
	for _, p := range c.places {
		if p.accepts != nil {
			p.stop = serve(p.socket, p.accepts)
		}
	}
	return slices.DeleteFunc(before, func(old *socket) bool { return slices.Contains(s.open, old) })
}

// listeners are those of a protocol, when the change is committed.
func (c *socketChange) listeners(protocol cgiserver.Protocol) (list []net.Listener) {
	for _, p := range c.places {
		if p.as.protocol == protocol {
			list = append(list, p.socket)
		}
	}
	return list
}

// protocols are what web servers and clients speak at the sockets.
func (c *socketChange) protocols() (list []cgiserver.Protocol) {
	for _, p := range c.places {
		protocol := p.as.protocol
		if protocol == protocolHTTPS {
			protocol = protocolHTTP
		}
		if protocol != protocolStatus && !slices.Contains(list, protocol) {
			list = append(list, protocol)
		}
	}
	return list
}

// leave gives the sockets of systemd among those back, where connections wait for whoever is next, and
// returns what closes the others when their connections were accepted.
func (s *sockets) leave(list []*socket) (finish func()) {
	var own []*socket
	var listeners []net.Listener
	for _, one := range list {
		if one.inherited {
			one.stopAccepting()
			one.release(s.systemd)
			continue
		}
		own, listeners = append(own, one), append(listeners, one.Listener)
	}
	return func() {
		lastcall.Close(listeners...)
		for _, one := range own {
			one.stopAccepting()
		}
	}
}

func (s *socket) stopAccepting() {
	if s.stop != nil {
		_ = s.stop() // nothing is accepted any more either way
	}
}

// inherit reports whether systemd keeps sockets open.
func (s *sockets) inherit() bool {
	return slices.ContainsFunc(s.open, func(one *socket) bool { return one.inherited })
}

// end closes the sockets of clients and web servers: new connections are refused. Those of systemd stay
// open elsewhere.
func (s *sockets) end() {
	var others []*socket
	s.open = slices.DeleteFunc(s.open, func(one *socket) bool {
		if one.protocol == protocolStatus {
			return false
		}
		others = append(others, one)
		return true
	})
	s.leave(others)()
	s.systemd.Close()
}

// close closes the rest.
func (s *sockets) close() {
	for _, one := range s.open {
		one.stopAccepting()
		_ = one.Close() // nothing is accepted any more either way
	}
	s.open = nil
	s.systemd.Close()
}
