// Package events remembers what has happened to an application within the last hour, in words: when
// it stalled, when a process was started or ended, when it was full, when its settings changed. It is
// what an administrator who looks at a page of the present state has missed.
//
// Begin with log.go.
//
// What always holds:
//
//   - A Log has at most Most events, none of which is older than Kept. What happens again and again
//     is one event that counts.
//   - The words have no path, query string, cookie or body of a request.
package events
