package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Scripts reports whether the workers are processes that run scripts and share a listen
// backlog. Otherwise the application may be a threaded or multiplexing server.
func (a *Application) Scripts() bool { return a.Preset == "php" || a.Preset == "cgi" }

// AllWorkers returns how many requests all instances together may process at once.
func (a *Application) AllWorkers() int {
	if a.Spawn != nil {
		return a.Workers * a.Spawn.MaxInstances
	}
	return a.Workers * len(a.Backends)
}

// check checks the settings that depend on each other.
func (a *Application) check() error {
	switch {
	case len(a.Backends) == 0 && a.Spawn == nil:
		return errors.New("backends: none given; name at least one, such as unix:/run/app.sock or 127.0.0.1:9000, or a command to spawn")
	case len(a.Backends) > 0 && a.Spawn != nil:
		return errors.New("backends: given, and so is spawn: the application runs already, or it is to be started")
	}
	if err := a.checkBackends(); err != nil {
		return err
	}
	if err := a.resolveProtocol(); err != nil {
		return err
	}
	if a.Spawn != nil {
		if err := a.Spawn.check(); err != nil {
			return err
		}
		if err := a.Spawn.resolveSocket(a.Protocol); err != nil {
			return err
		}
		if a.Spawn.StallKill > 0 && a.Lanes == Off {
			return errors.New("spawn.stall_kill: a plain queue does not notice stalls, and lanes is off")
		}
	}
	if a.Timeouts.Idle == 0 {
		a.Timeouts.Idle = Duration(5 * time.Second)
		if a.Protocol == HTTP {
			a.Timeouts.Idle = Duration(time.Second)
		}
	}
	if a.Authorizer != nil {
		if err := a.Authorizer.check(); err != nil {
			return err
		}
	}
	if a.Hold != nil {
		if err := a.Hold.check(a.AllWorkers()); err != nil {
			return err
		}
	}
	if err := a.checkFleet(); err != nil {
		return err
	}
	switch single := a.Protocol != FastCGI; {
	case a.Protocol == HTTP && a.Scripts():
		return fmt.Errorf("preset: is %s, and the application speaks http, in which no script can be named: use fastcgi, or preset app", a.Preset)
	case single && a.KeepAlive == On && a.Protocol != HTTP:
		return fmt.Errorf("keep_alive: is on, and the application speaks %s: a connection carries one request", a.Protocol)
	case single && a.Multiplex == On:
		return fmt.Errorf("multiplex: is on, and the application speaks %s: a connection carries one request", a.Protocol)
	case a.Multiplex == On && a.Scripts():
		return fmt.Errorf("multiplex: is on, and preset is %s: a process of PHP or a CGI program serves one request at a time", a.Preset)
	case a.Multiplex == On && a.KeepAlive == Off:
		return errors.New("multiplex: is on, and keep_alive is off: requests cannot share connections that carry one each")
	case single || a.KeepAlive == Off || a.Scripts():
		a.Multiplex = Off // auto is resolved
	}
	return nil
}

func (a *Application) checkBackends() error {
	seen := make(map[string]bool)
	for _, backend := range a.Backends {
		network, addr, err := ParseAddress(backend)
		if err != nil {
			return fmt.Errorf("backends: %w", err)
		}
		if seen[network+addr] {
			return fmt.Errorf("backends: %s is named twice", backend)
		}
		seen[network+addr] = true
	}
	return nil
}

func (s *Spawn) check() error {
	s.MaxInstances = cmp.Or(s.MaxInstances, s.Instances)
	switch {
	case len(s.Command) == 0 || s.Command[0] == "":
		return errors.New("spawn.command: none given; name the program, and its arguments")
	case s.Budget.Spawns < 0:
		return fmt.Errorf("spawn.budget: is %d, must not be negative", s.Budget.Spawns)
	case s.Budget.Per < 0:
		return errors.New("spawn.budget: must not be negative")
	case s.MaxInstances < s.Instances:
		return fmt.Errorf("spawn.max_instances: is %d, and spawn.instances is %d", s.MaxInstances, s.Instances)
	case s.DumpSignal != 0 && s.StallKill == 0:
		return errors.New("spawn.dump_signal: means nothing without spawn.stall_kill, which is not set")
	}
	if s.Listen != "" {
		switch _, port, err := net.SplitHostPort(s.Listen); {
		case err != nil:
			return fmt.Errorf("spawn.listen: is %q, want host:port", s.Listen)
		case port != "0" && s.MaxInstances > 1:
			return fmt.Errorf("spawn.listen: is %q, which is one socket, and there may be %d instances: port 0 is any that is free", s.Listen, s.MaxInstances)
		}
	}
	switch soft, hard, total := s.MemorySoft, s.MemoryHard, s.MemoryTotal; {
	case hard > 0 && soft >= hard:
		return fmt.Errorf("spawn.memory_soft: is %d, and spawn.memory_hard is %d: must be less, or it never counts", soft, hard)
	case total > 0 && soft >= total:
		return fmt.Errorf("spawn.memory_soft: is %d, and spawn.memory_total is %d: must be less, or it never counts", soft, total)
	case total > 0 && hard > total:
		return fmt.Errorf("spawn.memory_hard: is %d, and spawn.memory_total is %d: must not be more, or it never counts", hard, total)
	}
	if s.Ready != "" {
		if _, err := url.ParseRequestURI(s.Ready); err != nil || !strings.HasPrefix(s.Ready, "/") {
			return fmt.Errorf("spawn.ready: is %q, want a path beginning with \"/\"", s.Ready)
		}
	}
	return nil
}

// UsualIndex returns Index, or the default for PHP in a server that also sends static files.
func (s *Site) UsualIndex() []string {
	switch {
	case len(s.Index) > 0:
		return s.Index
	case s.CheckFiles == Off || s.Static == "off":
		return []string{"index.php"}
	}
	return []string{"index.php", "index.html"}
}

// check checks the settings that depend on each other.
func (s *Site) check() error {
	if s.ResolveRootSymlink == On && s.AppRoot != "" {
		return errors.New("resolve_root_symlink: is on, and app_root says what the application calls the root (remove one of them)")
	}
	s.Authorization.complete()
	return s.PollAnswer.check()
}

func (p *PollAnswer) check() error {
	bodyless := p.Status == http.StatusNoContent || p.Status == http.StatusNotModified
	switch {
	case p.Status == 0 && (p.Body != "" || p.ContentType != ""):
		return errors.New("queue.poll_answer.status: is not set: say what the body goes with, such as 200")
	case p.Status == 0:
		return nil
	case bodyless && p.Body != "":
		return fmt.Errorf("queue.poll_answer.body: an answer with status %d has none", p.Status)
	case strings.ContainsAny(p.ContentType, "\r\n\x00"):
		return fmt.Errorf("queue.poll_answer.content_type: %q is no content type", p.ContentType)
	}
	if !bodyless {
		p.ContentType = cmp.Or(p.ContentType, "text/plain; charset=utf-8")
	}
	return nil
}
