package main

import (
	"errors"
	"log/slog"
	"net"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge/basicauth"
)

// authOptions holds the flags for log-in.
type authOptions struct {
	file, realm string
	paths       []string
}

func (o *authOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.file, "auth-file", "", "require log-in (HTTP Basic) with a name and password of this htpasswd `FILE`; REMOTE_USER is the name")
	f.StringArrayVar(&o.paths, "auth-path", nil, "URL `PREFIX` that requires log-in, such as /login for Trac; may be given several times (default everything)")
	f.StringVar(&o.realm, "auth-realm", "", "`TEXT` that browsers show when they ask for the password (default Sluice)")
}

// isSet reports whether there are passwords.
func (o *authOptions) isSet() bool { return o.file != "" }

// check refuses flags without effect.
func (o *authOptions) check() error {
	switch {
	case o.file == "" && len(o.paths) > 0:
		return errors.New("--auth-path: means nothing without --auth-file")
	case o.file == "" && o.realm != "":
		return errors.New("--auth-realm: means nothing without --auth-file")
	}
	return nil
}

// unencrypted reports whether passwords may be sent over a network without TLS: clients on other
// machines can connect, and no proxy is named.
func (o *authOptions) unencrypted(listen net.Addr, trusted []string) bool {
	addr, ok := listen.(*net.TCPAddr)
	return o.file != "" && ok && !addr.IP.IsLoopback() && len(trusted) == 0
}

// open reads the password file. It returns nil if there is no --auth-file.
func (o *authOptions) open(mount string, log *slog.Logger) (*basicauth.Auth, error) {
	if o.file == "" {
		return nil, nil
	}
	return basicauth.New(basicauth.Config{File: o.file, Paths: o.paths, Mount: mount, Realm: o.realm, Logger: log})
}
