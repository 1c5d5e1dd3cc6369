package main

import (
	"errors"
	"log/slog"
	"net"
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

// of returns who may log in at a site, nil if everybody may.
func (l *logins) of(s *config.HostedSite) (*basicauth.Auth, error) {
	if !s.Auth.IsSet() {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := loginKey(s)
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

// keep forgets what no site of c uses.
func (l *logins) keep(c *config.Standalone) {
	used := make(map[string]bool)
	for _, s := range c.Sites {
		used[loginKey(s)] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.open {
		if !used[key] {
			delete(l.open, key)
		}
	}
}

func loginKey(s *config.HostedSite) string {
	return strings.Join(append([]string{s.Auth.File, s.Auth.Realm, s.Mount}, s.Auth.Paths...), "\x00")
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
