// Package halfclose has an http.Server answer clients that close their sending side after
// the request, as nc -N and old monitors do, and wait for the answer.
//
// net/http takes the end of a client's stream for a client that has left, and cancels the
// request. But a client that closes its connection sends the same end (FIN), and must not
// keep a worker busy. What tells the two apart:
//
//   - The connection is reset, as happens when something is sent to a client that has
//     closed, or the kernel of a client that has closed answers a keep-alive probe: it has
//     left. On a unix socket the kernel says at once whether the other end was closed.
//   - On TCP the end within [Window] of the end of the request belongs to the request:
//     the client waits. One that comes later is that of a client that has left.
//
// What always holds:
//
//   - The end of a client's stream is hidden only while a request that was received whole
//     is being answered. A request that is not whole stays cut short.
//   - A hidden end is not hidden any more once the connection is found to be closed, or
//     when the answer has been sent.
//   - The server's deadlines and Close end a Read that hides an end as any other.
package halfclose
