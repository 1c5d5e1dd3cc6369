package main

import (
	"fmt"
	"net"
)

// lighttpd makes a connection to the application for each request: its mod_fastcgi does not keep any.
var lighttpd = peer{
	label:   "lighttpd",
	about:   "`mod_fastcgi`, which makes a connection for each request; one process, as its documentation advises; access log off",
	binary:  installed("lighttpd", "lighttpd"),
	version: []string{"-v"},
	config:  lighttpdConfig,
	argv:    func(s site) []string { return []string{"-D", "-f", s.config} },
}

func lighttpdConfig(s site) string {
	host, port, err := net.SplitHostPort(s.listen)
	if err != nil {
		panic(err) // newSite has made it
	}
	return fmt.Sprintf(`server.document-root = "%[1]s"
server.bind = "%[2]s"
server.port = %[3]s
server.modules = ("mod_fastcgi")
server.errorlog = "/dev/stderr"
server.upload-dirs = ("%[1]s")
server.max-fds = 20000
server.max-connections = 9900
server.max-keep-alive-requests = 60000
server.max-keep-alive-idle = 60
server.max-read-idle = 600
server.max-write-idle = 600
server.stream-response-body = 1
fastcgi.server = ( "/" => (( "socket" => "%[4]s", "check-local" => "disable" )) )
`, s.dir, host, port, s.backend)
}
