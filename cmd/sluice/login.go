package main

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-proxy/sluice/bridge/basicauth"
	"github.com/sluice-proxy/sluice/bridge/config"
)

// logins has the passwords of all sites. Those with the same settings share what was verified and who
// has failed, over reloads as well.
type logins struct {
	log *slog.Logger

	mu   sync.Mutex
	open map[string]*basicauth.Auth // by the settings
}

// of returns who may log in at a site, nil if everybody may. If engine is that of a fleet, what clients guess
// is told to the other gates by the site's application, so that no other one has it.
func (l *logins) of(s *config.HostedSite, engine string) (*basicauth.Auth, error) {
	if !s.Auth.IsSet() {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := loginKey(s, engine)
	if a := l.open[key]; a != nil {
		return a, nil
	}
	a, err := basicauth.New(basicauth.Config{File: s.Auth.File, Paths: s.Auth.Paths, Mount: s.Mount, Realm: s.Auth.Realm, Logger: l.log})
	if err != nil {
		return nil, loginError(err)
	}
	if l.open == nil {
		l.open = make(map[string]*basicauth.Auth)
	}
	l.open[key] = a
	return a, nil
}

// keep forgets what no site uses.
func (l *logins) keep(sites []*site) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, a := range l.open {
		if !slices.ContainsFunc(sites, func(s *site) bool { return s.auth == a }) {
			delete(l.open, key)
		}
	}
}

func loginKey(s *config.HostedSite, engine string) string {
	application := ""
	if engine != "" {
		application = s.Uses
	}
	return strings.Join(append([]string{application, s.Auth.File, s.Auth.Realm, s.Mount}, s.Auth.Paths...), "\x00")
}

// loginError returns an error of basicauth.New, which begins with a key of its own, with ours.
func loginError(err error) error {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "cgi: "), "auth: ")
	if rest, ok := strings.CutPrefix(text, "path "); ok {
		text = "paths " + rest
	}
	return errors.New("auth." + text)
}

// unencrypted reports whether passwords may be sent over a network without TLS: clients on other
// machines can connect, and no proxy is named.
func unencrypted(s *config.HostedSite, listen net.Addr) bool {
	addr, ok := listen.(*net.TCPAddr)
	return s.Auth.IsSet() && ok && !addr.IP.IsLoopback() && len(s.TrustedProxies) == 0
}
