// Package halfclose has an http.Server answer clients that close their sending side after
// the request, as nc -N and old monitors do, and wait for the answer.
//
// net/http takes the end of a client's stream for a client that has left, and cancels the
// request. But a client that closes its connection sends the same end (FIN), and must not
// keep a worker busy. What tells the two apart:
//
//   - On a unix socket the kernel says at once whether the other end was closed, or only
//     its sending side.
//   - Of a TCP client on this machine the kernel says whether a process still has the
//     connection. It is asked again from time to time.
//   - Of any other TCP client nothing is known. If it sends the end within [Window] of the
//     end of the request, it waits for the answer. If the end comes later, the client has
//     left.
//   - A connection that is reset is that of a client that has left. That happens when
//     something is sent to a client that has closed the connection, and when its kernel is
//     sent a keep-alive probe after it has forgotten the connection.
//
// What always holds:
//
//   - The end of a client's stream is hidden only while a request that was received whole
//     is being answered. A request that is not whole stays cut short.
//   - It is hidden no longer when the answer has been sent, or when the client is found to
//     have left.
//   - A connection is not closed with bytes unread, which would reset it, as far as they are
//     there.
//   - The server's deadlines and Close end a Read that hides an end as they end any other.
package halfclose
