// Package pool owns the connections to one FastCGI backend: it dials them,
// leases them to one request at a time, keeps them between requests and closes
// them. A backend is one or more instances of the same application, each at an
// address of its own.
//
// It does not decide who may start (package admission does), does not know
// HTTP or CGI, and does not retry a request: it says, in [Error.Replay],
// whether sending it again is safe.
//
// What always holds:
//
//   - One budget per instance: dialling + busy + idle + closing connections
//     never exceed Config.Workers. An idle connection to an old server holds a
//     worker just as a busy one does, so an idle one is given up before a
//     request waits.
//   - A connection that was never used is never kept, and none is dialled
//     before a request needs it: a silent new connection occupies a worker of
//     PHP or libfcgi for seconds.
//   - A connection goes back to the pool only if the application ended the
//     request properly, everything we owed it was sent, and not one byte is
//     left over. Anything else closes it. Before reuse it is looked at once
//     more: a byte or an end-of-file that arrived meanwhile closes it too.
//   - Request ids run from 1 to 65535 and around, per connection, so that a
//     stray record of an earlier request has the wrong id and is noticed. Id 0
//     is never used.
//   - Every connection has one owner at a time, and every Lease ends with one
//     call of Release.
package pool
