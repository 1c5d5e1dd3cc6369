// Package sendroom asks the kernel whether a socket takes some bytes at once, so that a Write
// does not wait for the other side.
//
// The answer holds until somebody writes: only the peer changes it meanwhile, and makes room.
// Where it cannot be told, as on systems other than Linux, there is no [Room].
package sendroom
