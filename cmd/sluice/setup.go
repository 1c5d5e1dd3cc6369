package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

// setup is a configuration of serve, and where it comes from: flags, or a file. It is complete.
type setup struct {
	*config.Standalone
	source
	path     string // of the file; "": there are flags
	renamed  []string
	warnings []*tomlfile.Problem
}

// source names settings in errors as the user wrote them. Errors begin with a key.
type source interface {
	ServerError(err error) error
	ApplicationError(i int, err error) error
	SiteError(i int, err error) error
	nameOf(key string) string
}

// fileSource is a configuration file.
type fileSource struct{ *tomlfile.File }

// nameOf implements source.
func (fileSource) nameOf(key string) string { return key }

// defaultFile is the file of a serve without flags.
const defaultFile = "/etc/sluice/sluice.toml"

// load returns the configuration that a command line means.
func (o *options) load(command []string) (*setup, error) {
	path, err := o.path(command, defaultFile)
	if err != nil {
		return nil, err
	}
	if path != "" {
		return loadFile(path, nil)
	}
	if err := o.complete(command); err != nil {
		return nil, err
	}
	return newSetup(o.standalone(), o, "", o.written.Renamed(), nil)
}

// path returns the file that has the configuration, "" if the flags have it.
func (o *options) path(command []string, usual string) (string, error) {
	other := o.other(flagConfig, flagPrint)
	if other != "" {
		other = "--" + other
	} else if len(command) > 0 {
		other = "a command"
	}
	switch {
	case o.set.Changed(flagConfig) && o.file == "":
		return "", errors.New("--config: want a file")
	case o.file != "" && other != "":
		return "", fmt.Errorf("--config and %s exclude each other: flags describe one application, and the file has all settings; write it there (\"sluice serve ... --print-config\" prints a file for flags)", other)
	case o.file != "" && o.printConfig:
		return "", errors.New("--config and --print-config exclude each other: --print-config prints the file that flags mean (\"sluice config show\" prints what a file means)")
	case o.file != "" || other != "" || o.printConfig:
		return o.file, nil
	}
	if _, err := os.Stat(usual); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return usual, nil
}

// loadFile returns the configuration in a file. pause is that of tomlfile.Load.
func loadFile(path string, pause func()) (*setup, error) {
	f, err := tomlfile.Load(path, pause)
	if err != nil {
		return nil, err
	}
	renamed := make([]string, len(f.Renamed))
	for i, sentence := range f.Renamed {
		renamed[i] = path + ": " + sentence
	}
	return newSetup(&f.Standalone, fileSource{f}, path, renamed, f.Warnings)
}

// newSetup makes the checks for which the server and the sites have to be seen together.
func newSetup(c *config.Standalone, from source, path string, renamed []string, warnings []*tomlfile.Problem) (*setup, error) {
	s := &setup{c, from, path, renamed, warnings}
	var wrong []error
	for _, err := range []error{s.checkFront(), s.checkListen(), s.Server.Check(), s.checkTLS()} {
		if err != nil {
			wrong = append(wrong, from.ServerError(err))
		}
	}
	for i, site := range c.Sites {
		for _, err := range []error{checkUserHeader(site), checkRedirects(site), s.checkSiteTLS(site)} {
			if err != nil {
				wrong = append(wrong, from.SiteError(i, err))
			}
		}
		if (site.Root != "" || !s.onlyWebServers()) && s.applicationOf(site).Preset == cgi.PresetPHP {
			site.Index = site.UsualIndex()
		}
	}
	return s, firstOrAll(wrong)
}

// firstOrAll returns all problems of a file, in their order, or the first error of flags.
func firstOrAll(wrong []error) error {
	var problems tomlfile.Problems
	for _, err := range wrong {
		problem, inFile := errors.AsType[*tomlfile.Problem](err)
		switch {
		case !inFile:
			return err
		case !slices.ContainsFunc(problems, func(p *tomlfile.Problem) bool { return *p == *problem }):
			problems = append(problems, problem)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return problems.InOrder()
}

func checkUserHeader(s *config.HostedSite) error {
	if s.UserHeader != "" && len(s.TrustedProxies) == 0 {
		return errors.New("user_header: means nothing without trusted_proxies: it is believed from no other peer")
	}
	return nil
}

// checkRedirects refuses redirects that lead clients of one of the site's hosts back to it.
func checkRedirects(s *config.HostedSite) error {
	rules := cgi.Config{Redirect: s.Redirect}
	for _, host := range s.Hosts {
		if err := rules.CheckRedirects(host); err != nil {
			return err
		}
	}
	return nil
}

// applicationOf returns the application of a site, whose name was checked.
func (s *setup) applicationOf(site *config.HostedSite) *config.NamedApplication {
	return s.Applications[slices.IndexFunc(s.Applications, func(a *config.NamedApplication) bool { return a.Name == site.Uses })]
}

// trustedProxies are those of all sites.
func (s *setup) trustedProxies() (list []string) {
	for _, site := range s.Sites {
		list = append(list, site.TrustedProxies...)
	}
	return list
}

// gateRoom is how many requests may be in the gates: at work, waiting in their queues, and held.
func (s *setup) gateRoom() (n int) {
	for _, a := range s.Applications {
		instances := max(len(a.Backends), 1)
		if a.Spawn != nil {
			instances = a.Spawn.MaxInstances
		}
		n += a.Workers*instances + a.Queue.Size + 2*a.Queue.LongSize
		if a.Hold != nil {
			n += a.Hold.Clients
		}
	}
	return n
}

// mostOf returns the largest value that a site has.
func mostOf[T cmp.Ordered](s *setup, of func(*config.HostedSite) T) (most T) {
	for _, site := range s.Sites {
		most = max(most, of(site))
	}
	return most
}
