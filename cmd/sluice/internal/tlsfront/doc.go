// Package tlsfront makes the handshakes of TLS connections, and tells them apart by what the client
// wants to speak: HTTP/2, or HTTP/1.1. Connections without TLS pass through. Begin with splitter.go.
//
// What always holds:
//
//   - A connection goes to one of the three listeners, or is closed, and then Track is told.
//   - A handshake ends within its time. How many there are is bounded by the listener that they are
//     accepted from.
//   - Nobody who accepts holds up the handshakes of others.
package tlsfront
