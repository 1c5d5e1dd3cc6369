// Package caddy tests the Caddy module in a running Caddy, in front of net/http/fcgi and PHP-FPM. It is a
// package of its own so that the other tests do not link Caddy. Begin with harness_test.go.
package caddy
