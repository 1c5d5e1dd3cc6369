// Package front serves bridge.Handlers to clients that speak plain HTTP/1, in event loops: a client
// that waits costs a little memory and no goroutine. Only Linux has it; see [Supported].
//
// A loop does what is frequent and short. What it leaves to others - a request with a large body, an
// upgrade, one that is malformed - comes out of [Server.Handed], to be served by an http.Server with
// the same Handlers.
package front
