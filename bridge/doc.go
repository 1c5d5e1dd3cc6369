// Package bridge is an HTTP gate in front of an application that speaks FastCGI, SCGI or uwsgi: a
// Trac, a PHP wiki, a MapServer. It reads a request's body, admits the request, leases it a
// connection, and carries the answer back, so that slow requests, slow clients and sessions
// that lock each other never use up the application's workers. docs/glossary.md explains its
// words.
//
// A [Handler] is an http.Handler, made by [New] from a [Config]. Only Backends or Spawn must be
// set; Workers should be. docs/settings.md lists all settings, which package config declares.
//
// An [Application] is what several Handlers can be in front of: each of them is a site, with
// its own mapping, limits and users. The gate, the connections, the processes and what was
// learned are the Application's, whose settings can be changed while it is used. Package
// registry keeps Applications for programs that load their configuration while they run.
//
// [Transport] is an http.RoundTripper to the application, for use behind a proxy that is an
// http.Handler itself, such as httputil.ReverseProxy.
//
// Start with handler.go. The way of a request is in internal/exchange, which decides, and
// internal/blocking, which waits; what sites share is in internal/app.
//
// What always holds:
//
//   - Close of a Handler waits for its own requests, and disturbs no other's.
//   - Configure either does all that it is told, or changes nothing, and no request or
//     connection is lost by it.
//   - A request whose body is not there yet costs no worker: bodies are read whole before a
//     worker is taken, unless SiteConfig.RequestBuffering is off.
//   - The application never waits for a slow client, within the spool's budget.
//   - An answer that is not complete is never ended cleanly towards the client: it becomes a
//     502 or, once its header was sent, an aborted connection.
//   - A request is sent a second time only if it was provably not run, or if its method is
//     idempotent.
//
// Errors reach the client as the statuses that docs/errors.md lists, with a Proxy-Status field
// (RFC 9209) whose words are also the log's.
package bridge
