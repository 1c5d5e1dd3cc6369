// Package status serves the state of a bridge over HTTP: /healthz, which says
// that the process answers, and /status.json, the bridge's Snapshot.
//
// It shows no query strings, cookies or bodies, of who asks only hashes, and of paths
// only what is made of words. It asks for no password: serve it on loopback, or behind
// something that does, and with Guard before it.
package status
