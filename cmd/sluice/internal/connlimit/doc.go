// Package connlimit bounds how many client connections an http.Server has, so that
// there are always descriptors left for everything else, and decides whose
// connections make room for others.
//
// A [Limit] stands at two places: its Listener is what the server accepts from, and
// its Track is the server's ConnState, of a server without TLS. When there are as many connections as there
// may be, and another one comes:
//
//   - One without a request is closed: a kept one that is idle, or one on which no
//     whole header has come yet. If a client has more than its share of all
//     connections (a sixteenth, 16 at least) it is one of the client that has most;
//     else, or if that has none, the one that has been so for longest. For a client
//     that has its share, it is one of its own. One that has been without a request
//     for less than a second goes only if its client has too many, and for another.
//   - If all of them carry requests, and one client has more than a quarter of them
//     all and at least twice as many as the newcomer's, the one of its requests that
//     has taken longest is cut.
//   - Else the newcomer waits until there is room. Of those that wait, the oldest of
//     the client that has most of them is closed when there are too many.
//
// A client is an IPv4 address or the /64 network of an IPv6 address. Those that are
// exempt, proxies that speak for many, have no share to exceed: what they have
// without a request goes when it has been so for longest.
//
// In the end, Drain lets requests finish and closes connections without one, and Cut ends
// what is left. Permit and Done bound how many connections of a client may be half closed.
//
// What always holds:
//
//   - There are never more than Max connections in the server, nor more than
//     MaxWaiting that wait.
//   - A connection that was accepted is handed to the server or closed. One that makes
//     room before its request begins is closed before its handler is called.
//   - A request that is cut ends with a reset, where the connection can have one.
//   - The listener's Close waits for its goroutine, and leaves no connection that the
//     server was not given.
package connlimit
