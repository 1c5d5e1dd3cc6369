// Package session knows the processes of other sessions as /proc shows them: which there are,
// what they use, and how to kill them although they fork meanwhile and ids are used again.
//
// A child that Sluice starts leads a session of its own (setsid(2)), in which its descendants
// are unless they make another. A session is known by its leader's id and start time, so that
// it is never taken for another one that has the id later. On systems other than Linux nothing
// is known.
package session
