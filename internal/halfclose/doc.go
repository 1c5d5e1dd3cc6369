// Package halfclose lets an http.Server answer clients that close their sending side after the
// request and wait for the answer, as nc -N and old monitors do. Begin with conn.go.
//
// The end of a client's stream (FIN) may also mean that the client has closed the connection, and
// then it must not keep a worker busy. net/http assumes that always, and cancels the request. This
// package tells the two apart:
//
//   - On a unix socket the kernel knows whether the other end was closed, or only its sending side.
//   - For a TCP client on this machine the kernel knows whether a process still has the connection.
//     It is asked repeatedly.
//   - For any other TCP client nothing is known. If the FIN comes within [Window] of the end of the
//     request, the client waits for the answer. If it comes later, the client has left.
//   - A reset means that the client has left. It comes when something is sent to a client that has
//     closed the connection, and when a keep-alive probe reaches a kernel that has forgotten it.
//
// What always holds:
//
//   - The end of the stream is hidden only while a completely received request is being answered. An
//     incomplete request stays incomplete.
//   - It is hidden no longer after the answer has been sent, or the client is known to have left.
//   - A connection is not closed with unread bytes that have arrived, which would reset it.
//   - The server's deadlines and Close end a Read that hides an end like any other Read.
package halfclose
