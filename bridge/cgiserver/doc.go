// Package cgiserver is the application's side of FastCGI and SCGI: it takes requests from web
// servers (nginx, lighttpd, Apache, HAProxy, Caddy) and has an http.Handler answer them.
//
// Start with server.go. fastcgi.go reads a FastCGI connection, with params.go and management.go,
// and scgi.go an SCGI connection. request.go is one request on it, stdin.go its body, response.go
// its answer, which frame.go encodes. link.go writes to a connection and closes it.
//
// The variables of a request go with it: [cgi.ReceivedOf] returns them, and a bridge.Handler
// passes them to the application as they came.
//
// What always holds:
//
//   - A handler is called once for each request whose variables have come whole, with a context
//     that ends when the web server aborts the request or closes the connection.
//   - An answer that the handler has not ended, because it has panicked or has written less than
//     its Content-Length, is not ended: the connection is closed after a record that is none, and
//     without END_REQUEST. docs/protocols.md says what web servers make of that. SCGI knows no
//     end but the end of the connection: there it is reset if it can be, which a unix socket
//     cannot.
//   - Memory is bounded: MaxParams of variables for each request, stdinBuffer of its body that
//     the handler has not read, and outputBuffer of its answer. A body that is not read holds up
//     the connection, and other requests on that connection.
//   - A connection belongs to one goroutine that reads, which ends when it is closed. Each
//     request has a goroutine, in which the handler runs. Shutdown and Close wait for all of them.
//   - Reading variables, an unused connection and each write have a time-out.
package cgiserver
