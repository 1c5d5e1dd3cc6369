// Package integration tests Sluice with real applications: PHP-FPM and php-cgi with DokuWiki, a threaded
// libfcgi responder, Perl's FCGI.pm with gitweb, fcgiwrap with cgit, uWSGI in three protocols,
// Go's net/http/fcgi, and SCGI servers in C and with Perl's SCGI.pm. Each test starts its backends itself, on private sockets in its temporary directory, and ends them by process group.
// setup.sh installs them on Debian. Begin with backend_test.go and conform_test.go; harness_test.go and
// sluice_test.go start the processes. webserver_test.go has nginx, lighttpd, Apache and HAProxy in front,
// which speak FastCGI or SCGI to Sluice.
//
// A missing backend fails the test in CI, and where setup.sh can install it. Elsewhere the test is skipped
// with a message.
//
// # Routes
//
// The backends of testdata and the Go backend serve the same routes, so that one suite (conform) is for all
// of them:
//
//	/hello             "hello\n"
//	/params            all variables, as lines NAME=VALUE
//	/token?t=          the token
//	/status?code=      that status, with no body
//	/cookies           two Set-Cookie fields
//	/body              CONTENT_LENGTH, true length and SHA-256 of the body
//	/echo              the body
//	/early             an answer without reading the body
//	/download?n=       n bytes: byte i of each 64 KiB is i*31 + i>>8
//	/stream?n=&kind=   n records, each flushed; kind is plain, accel
//	                   (X-Accel-Buffering: no) or events (text/event-stream)
//	/wait              an answer when the gate opens: a long-poll
//	/short             announces 1000 bytes and ends after 10
//	/stderr?n=         n bytes of FCGI_STDERR, then an answer
//	/die?at=           the process ends: at=header inside the header, or before
//	                   it; at=body inside the body, when the gate opens
//
// /stream, /wait and /die take a gate: a directory with two FIFOs. The application writes a byte to "in"
// when it has entered /wait, and reads a byte from "go" before it continues. So events control the tests,
// and nothing in them depends on the speed of the machine.
//
// Package says is an application that sends any bytes a test chooses, for output that no real application
// can be made to send.
//
// testdata/troubles.py serves the same routes, and others, from a process that leaks, hangs, dies or ignores
// signals on request.
package integration
