// Package integration runs Sluice against the real thing: PHP-FPM and php-cgi
// with DokuWiki, a threaded libfcgi responder, Perl's FCGI.pm with gitweb,
// fcgiwrap with cgit, uWSGI in three protocols, Go's net/http/fcgi, and SCGI
// servers in C and with Perl's SCGI.pm. Each test starts its backends itself, on
// private sockets in its temporary directory, and ends them by process group. setup.sh installs what is needed on Debian.
//
// A backend that is not installed fails the test in CI and where setup.sh
// could have installed it. Only elsewhere is the test skipped, loudly.
//
// # Routes
//
// The backends of testdata, and the Go one, all serve the same routes, so that
// one suite (conform) holds for all of them:
//
//	/hello             "hello\n"
//	/params            every variable the application got, NAME=VALUE by line
//	/token?t=          the token
//	/status?code=      that status, with no body
//	/cookies           two Set-Cookie fields
//	/body              CONTENT_LENGTH, true length and SHA-256 of the body
//	/echo              the body
//	/early             answers without reading the body
//	/download?n=       n bytes: byte i of each 64 KiB is i*31 + i>>8
//	/stream?n=&kind=   n records, each flushed; kind is plain, accel
//	                   (X-Accel-Buffering: no) or events (text/event-stream)
//	/wait              answers when the gate opens: a long-poll
//	/short             promises 1000 bytes and ends after 10
//	/stderr?n=         n bytes of FCGI_STDERR, then an answer
//	/die?at=           the process ends: at=header inside the header, or before
//	                   it; at=body inside the body, when the gate opens
//
// /stream, /wait and /die take a gate: a directory with two FIFOs. The
// application writes a byte to "in" when it has entered /wait, and reads one
// from "go" before it goes on. So the tests steer by events; nothing in them depends on
// how fast the machine is.
//
// Package says is an application that says what a test has it say, for what no real one can
// be made to say.
//
// testdata/troubles.py serves them, and more, from a process that leaks, hangs, dies or
// does not care for signals, as it is told to.
package integration
