// Package blocking drives exchanges (package exchange) for net/http, and for whatever else has
// a http.ResponseWriter: it waits for each of their steps in the goroutine of ServeHTTP, reads
// the client's body, and writes the answer.
//
// Start with call.go. body.go reads the body, upload.go sends it to the application beside
// the wait for the answer, relay.go sends the client an answer while it arrives, direct.go does
// so as long as the client's socket takes each piece at once, file.go sends a file, discard.go
// reads what a client still sends after its answer, and deadline.go has the limits of the server
// that the requests come from. upgrade.go passes on what both sides of an upgraded connection
// send.
//
// Goroutines: one sends a body that did not go out with the request's head (sender), one
// receives an answer that the client's socket has no room for (receiver), two serve an upgraded
// connection (tunnel), and one waits for each request that was abandoned. The last ends with the
// application, the others end before ServeHTTP returns.
//
// What always holds:
//
//   - The application never waits for a slow client: what the client cannot take yet goes to
//     memory, then to a temporary file, within the spool's budget. On an upgraded connection
//     it does wait: one buffer for each direction is all that is kept.
//   - What a client sends of a body that nobody wants is read for a bounded time, by a bounded
//     number of requests. It is never taken for a request.
//   - No deadline of the client's connection is touched after the body was read to its end
//     but those of writing, and none is later than the embedding http.Server's. A connection
//     whose body was not read to its end, because reading failed or was cut, ends.
package blocking
