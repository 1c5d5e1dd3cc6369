// Package content knows where the body of an application's answer ends: after an announced
// length, after the last chunk, with the end of the output, or with the end of the request.
//
// What always holds: a body is said to be complete only if nothing of it can be missing.
package content
