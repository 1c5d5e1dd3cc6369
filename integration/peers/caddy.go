package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// caddy is Caddy's own FastCGI transport.
var caddy = inCaddy("caddy", "`reverse_proxy` with Caddy's own `transport fastcgi`", func(s site) string {
	return fmt.Sprintf("reverse_proxy unix/%s {\n\ttransport fastcgi\n}", s.backend)
})

// caddyHTTP is Caddy's own HTTP transport, which keeps as many connections as there are clients.
var caddyHTTP = inCaddy("caddy-http", "`reverse_proxy`, `keepalive_idle_conns_per_host 64`, the application speaks HTTP", func(s site) string {
	return fmt.Sprintf("reverse_proxy unix/%s {\n\ttransport http {\n\tkeepalive_idle_conns_per_host 64\n}\n}", overHTTP(s.backend))
})

// caddySluiceHTTP is the directive sluice in front of an application that speaks HTTP.
var caddySluiceHTTP = inCaddy("caddy-sluice-http", "the directive `sluice`, `workers 64`, the application speaks HTTP", func(s site) string {
	return fmt.Sprintf("sluice http+unix:%s {\n\tworkers 64\n%s}", overHTTP(s.backend), pollOptions)
})

// caddyFloor is Caddy answering by itself, without an application, for the scenario small only.
var caddyFloor = inCaddy("caddy-respond", "`respond`, without any application: what Caddy itself takes", func(site) string {
	return fmt.Sprintf("header Content-Type application/octet-stream\nrespond /bytes/200 %s", strings.Repeat("0", 200))
})

// caddySluice is the directive sluice, with room for the given number of requests in
// the application. Polls that are more than that are parked in the gate.
func caddySluice(workers int) peer {
	return inCaddy(fmt.Sprintf("caddy-sluice-%d", workers), fmt.Sprintf("the directive `sluice`, `workers %d`", workers), func(s site) string {
		return fmt.Sprintf("sluice unix/%s {\n\tworkers %d\n%s}", s.backend, s.workersOr(workers), pollOptions)
	})
}

// caddyTransport is reverse_proxy with Sluice's transport.
func caddyTransport(workers int) peer {
	return inCaddy(fmt.Sprintf("caddy-transport-%d", workers), fmt.Sprintf("`reverse_proxy` with `transport sluice`, `workers %d`", workers), func(s site) string {
		return fmt.Sprintf("reverse_proxy unix/%s {\n\ttransport sluice {\n\tworkers %d\n%s}\n}", s.backend, s.workersOr(workers), pollOptions)
	})
}

// caddySluiceTLS and caddyTLS are Caddy with the module and without, HTTP/1.1 over TLS.
var (
	caddySluiceTLS = overTLS("caddy-sluice-tls", caddySluice(512))
	caddyTLS       = overTLS("caddy-tls", caddy)
)

// overTLS is a Caddy of inCaddy with TLS in front.
func overTLS(label string, p peer) peer {
	plain := p.config
	p.label, p.about, p.tls = label, p.about+", HTTP/1.1 over TLS 1.3", true
	p.config = func(s site) string {
		cert, key := s.certificate()
		return strings.Replace(plain(s), "http://"+s.listen+" {", fmt.Sprintf("https://%s {\n\ttls %s %s", s.listen, cert, key), 1)
	}
	return p
}

// pollOptions have room for all polls that may be parked.
const pollOptions = `	long_poll /hold/*
	queue {
		size 2000
		long_size 20000
		long_timeout 2m
	}
`

// inCaddy is Caddy with the directives of one site. All are the same program, with the
// version in go.mod.
func inCaddy(label, about string, directives func(site) string) peer {
	return peer{
		label: label,
		about: about + ", no access log",
		binary: func(ctx context.Context, dir string) (string, error) {
			return goBuild(ctx, "github.com/sluice-proxy/sluice/cmd/caddy", filepath.Join(dir, "caddy-program"))
		},
		version: []string{"version"},
		config: func(s site) string {
			return fmt.Sprintf(caddyfile, s.status, s.listen, directives(s))
		},
		argv: func(s site) []string {
			return []string{"run", "--config", s.config, "--adapter", "caddyfile"}
		},
		collect: "/debug/pprof/heap?gc=1",
	}
}

const caddyfile = `{
	admin %s
	persist_config off
	auto_https disable_redirects
	log {
		level WARN
	}
}

http://%s {
	%s
}
`
