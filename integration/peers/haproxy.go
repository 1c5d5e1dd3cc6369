package main

import "fmt"

// haproxy keeps its connections to the application and shares them among clients.
var haproxy = inHAProxy("haproxy", "no option mpxs-conns", "one request at a time on each")

// haproxyMux is haproxy with several requests on a connection.
var haproxyMux = inHAProxy("haproxy-mux", "option mpxs-conns", "`option mpxs-conns`")

func inHAProxy(label, option, about string) peer {
	return peer{
		label:   label,
		about:   "`fcgi-app` with `option keep-conn`, `http-reuse always`, connections are kept, " + about + "; one thread per core",
		binary:  installed("haproxy", "haproxy"),
		version: []string{"-v"},
		config:  func(s site) string { return fmt.Sprintf(haproxyConfig, s.listen, s.backend, maxconn(s), s.dir, option) },
		argv:    func(s site) []string { return []string{"-db", "-f", s.config} },
	}
}

// maxconn bounds the requests in the application if it has a bound: HAProxy is the one of the other servers
// that can be told.
func maxconn(s site) string {
	if s.workers == 0 {
		return ""
	}
	return fmt.Sprintf("maxconn %d", s.workers)
}

const haproxyConfig = `global
	maxconn 9500
defaults
	mode http
	timeout connect 5s
	timeout client 10m
	timeout server 10m
	timeout queue 60s
	timeout http-keep-alive 60s
	option abortonclose
fcgi-app app
	docroot %[4]s
	option keep-conn
	%[5]s
frontend site
	bind %[1]s
	default_backend app
backend app
	use-fcgi-app app
	http-reuse always
	server app unix@%[2]s proto fcgi pool-max-conn -1 pool-purge-delay 60s %[3]s
`
