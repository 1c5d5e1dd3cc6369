// Package status serves the state of a bridge over HTTP: /healthz, which says
// that the process answers, and /status.json, the bridge's Snapshot.
//
// It shows no query strings, cookies or bodies, clients only as hashes, and of paths only
// what is made of words. It has no authentication: serve it on loopback, or behind a server
// that authenticates, and wrap it in [Guard].
package status
