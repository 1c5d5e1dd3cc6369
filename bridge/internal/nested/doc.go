// Package nested finds the requests that the application itself has sent: a page requests another one
// from its own site while its worker waits for the answer. The kernel knows which process has the
// client's end of a connection. It is not sufficient that a request comes from this machine: behind a
// proxy on this machine all requests do. Begin with finder.go.
//
// A [Finder] holds the requests in progress from clients on this machine. When one of them has to wait,
// and occasionally when none has, it scans the sockets of all processes, once for all requests, in a
// goroutine that ends when no request is pending. It passes the results to the requests' tickets.
//
// A process belongs to the application if it, or an ancestor, holds the socket that the application
// listens on. How deep requests are nested is known if a process has one thread, and so serves one
// request at a time: that of the connection that it, or its ancestor, holds.
//
// On Linux it reads /proc and asks sock_diag(7). Processes that may not be read, such as those of other
// users, are treated as missing. On other systems no request is found to be nested.
package nested
