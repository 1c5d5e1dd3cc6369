// Package connlimit bounds how many client connections an http.Server has, so that descriptors are
// left for everything else, and decides which connections are closed for new ones. Begin with
// limit.go.
//
// The server accepts from the Listener of a [Limit], and its ConnState is Track, which gets the
// connections that this Listener has returned, not what a server with TLS has made of them. When the number of connections is at its maximum and another client connects:
//
//   - A connection without a request is closed: an idle kept one, or one without a complete header.
//     If a client has more than its share of all connections (a sixteenth, 16 at least), it is one
//     of the client with most; otherwise, or if that client has none, the one that has been without
//     a request for longest. For a client that has reached its share, it is one of its own. A
//     connection that has been without a request for less than a second is closed only if its
//     client exceeds its share, and only for another client.
//   - If all connections carry requests, and one client has more than a quarter of them and at
//     least twice as many as the new one, its longest-running request is cut.
//   - Otherwise the new connection waits for room. If too many wait, the oldest one of the client
//     with most waiting connections is closed.
//
// A client is an IPv4 address or the /64 network of an IPv6 address. Exempt clients, proxies that
// speak for many, have no share: of their connections without a request, the one that has been so
// for longest is closed.
//
// Where a connection carries several requests at once, [Streams] bounds these by the same numbers.
//
// Drain lets requests finish and closes connections without a request, Cut ends the rest. Permit and
// Done bound how many connections of a client may be half closed.
//
// What always holds:
//
//   - There are never more than Max connections in the server, nor more than MaxWaiting that wait.
//   - An accepted connection is returned by Accept or closed. One that is closed for another before
//     its request begins is closed before its handler is called.
//   - A request that is cut ends with a reset, if the connection can have one.
//   - The Listener's Close waits for its goroutines, and leaves no connection that Accept has not
//     returned. One whose socket is removed is served.
package connlimit
