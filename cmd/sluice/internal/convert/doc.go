// Package convert reads the configuration of a web server - nginx, lighttpd, Apache or Caddy - and
// makes the configuration of Sluice that serves the same applications.
//
// Reading begins at convert.go: File reads, finds out whose file it is, and hands what it has read to
// the translator of that server. The files that end in syntax.go know how each file is written, and make
// directives of it; the translators know what the directives mean, and say it to a builder. What ends
// in tls.go is about certificates, redirects to https, and load balancers; regexp.go makes patterns of
// Sluice of regular expressions.
//
// What always holds: a directive is carried over, is known to need nothing in Sluice, or is among
// Result.Left with its file, line and column. Nothing is written here, and nothing is run.
package convert
