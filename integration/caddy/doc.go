// Package caddy tests the Caddy module in a running Caddy, in front of FastCGI servers
// that are not ours: net/http/fcgi and PHP-FPM. It is a package of its own so that the
// other tests do not link Caddy.
package caddy
