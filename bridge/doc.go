// Package bridge is the gate itself: an http.Handler in front of a FastCGI
// application. It takes a request's body off the client, admits the request,
// leases it a connection, and carries the answer back.
//
// Package internal/classify says what the gate is told of a request: its route, who asks, and
// whether it is known to be slow.
//
// What it is told is declared in package config (config.go has how that is handed on to the
// packages it is for): an ApplicationConfig is a Backend's, a SiteConfig a Bridge's.
//
// Bridges may share a Backend (backend.go): each is a site, with its own mapping, limits
// and users; the gate, the pool, the spool and the processes are the backend's, whose
// settings are changed while it is used (configure.go). Whatever outlives a site, such as
// an answer that nobody waits for any more, is the backend's, too.
//
// Where ApplicationConfig.Spawn says so, a Backend owns the application's processes, too
// (processes.go): they are told what becomes of requests, and requests are refused that
// nobody would answer (available.go).
//
// What always holds:
//
//   - Closing a Bridge waits for its own requests, and disturbs no other's.
//   - Configure either does all that it is told, or changes nothing, and no request or
//     connection is lost by it.
//   - A request that a worker was not yet asked to run costs no worker: bodies
//     are read whole before a slot is taken, unless SiteConfig.RequestBuffering is
//     off.
//   - What the header alone decides is answered before anything of the body is read, and
//     what a client sends of a body that nobody wants is read for a bounded time, by a
//     bounded number of requests (discard.go). It is never taken for a request.
//   - The application never waits for a slow client: what the client cannot take
//     yet goes to memory, then to a temporary file, within the spool's budget.
//   - An answer that is not complete is never ended cleanly towards the client: it
//     becomes a 502, or, once its header is out, an aborted connection. One that is
//     complete (content.go) is delivered, whatever comes after it, and when.
//   - A request is sent a second time only where package pool says that it is
//     safe, or that it is safe for idempotent methods and the method is one.
//   - Whatever happens, an exchange gives back its ticket, its lease and its
//     buffers once. When nobody waits for a silent application any more - the
//     client left, or was sent a 504 - the ticket and the lease stay taken until
//     the application has finished or Timeouts.Abandoned has passed, because the
//     worker is taken too.
//   - No deadline of the client's connection is touched after the body was read to its end
//     but those of writing, and none is later than the embedding http.Server's. A connection
//     whose body was not read to its end, because reading failed or was cut, ends.
//
// Errors reach the client as the statuses that docs/errors.md lists, with a
// Proxy-Status field (RFC 9209) whose words are also the log's.
package bridge
