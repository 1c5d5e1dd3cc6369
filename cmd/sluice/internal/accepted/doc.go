// Package accepted has clients' connections between accept(2) and whoever serves them: with the
// addresses that a load balancer tells in a header of the PROXY protocol, versions 1 and 2, and with
// what a listener says of the bytes that follow. Begin with listener.go.
//
// What always holds:
//
//   - A header is read from the peers that are named, and from no other. From these, a connection
//     without one is closed: whoever forgets to send it would be taken for all its clients, or let
//     them choose their address.
//   - Not a byte after the header is read.
//   - How many headers are waited for is bounded, and so is the time and the length of each.
//   - The listener's Close waits for its goroutines. Connections whose header is complete by then are
//     returned by Accept, all others are closed.
package accepted
