// Package sendroom asks the kernel whether a socket takes some bytes at once, so that a Write
// does not wait for the other side.
//
// Only who writes makes the room smaller, so the kernel is asked again only when what it had said
// is used up.
// Where it cannot be told, as on systems other than Linux, there is no [Room].
package sendroom
