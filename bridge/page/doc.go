// Package page is a page of the present state of applications: who holds the workers, who waits, what
// is the matter, and how the last quarter of an hour was.
//
// [New] returns a [Page], an http.Handler for the page, its scripts and styles, view.json, which is
// the state with its history, and a stream of server-sent events with the state once a second. There
// is no authentication: serve it on a loopback address, or behind a server that authenticates, and
// protect it from other web pages' host names with status.Guard.
//
// Begin with page.go; view.go is what the browser is told, say.go finds the words for what is the
// matter, sample.go keeps the history, and stream.go sends it to the viewers.
//
// What always holds:
//
//   - The browser gets no path, query string, cookie or body of a request: routes are shown without
//     parts that may be a key, and clients as hashes.
//   - The state is taken and encoded once a second for all viewers, and not at all without one. Only
//     the few numbers of the history are always taken.
//   - A viewer that reads slowly misses states, and holds up nobody.
//   - Requests of other origins get 403, except for scripts and styles.
//   - Nothing is loaded from elsewhere, and nothing of the state becomes markup.
package page
