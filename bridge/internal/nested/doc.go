// Package nested finds out which requests the application itself has sent: a page that
// asks its own site for another one, while its worker waits for the answer. The kernel
// knows: it is asked whose the client's end of a connection is. "It comes from this
// machine" would not do, for behind a proxy on this machine everybody does.
//
// A [Finder] keeps the requests that come from this machine and are in progress. When one
// of them has to wait, and now and then when none has, it looks: at the sockets of all
// processes, once for all requests, in a goroutine that lives only as long as somebody is
// to be looked at. What it finds it tells the requests' tickets.
//
// A process is the application's if it, or one that it descends from, holds the socket
// that the application listens on. How deep requests are nested in each other is known
// where a process has one thread, and so one request at a time: the connection that it
// serves, or the one that its ancestor serves, is that of the request it works on.
//
// It is Linux's /proc and sock_diag(7) that are read. What may not be read, such as other
// users' processes when this one is not root's, is as if it were not there. On other
// systems nothing is found.
package nested
