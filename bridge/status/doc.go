// Package status serves the state of a bridge over HTTP: /healthz, which shows that the process
// answers, and /status.json, the bridge's Snapshot.
//
// The status has no query strings, cookies or bodies; clients appear only as hashes, and paths only
// as far as they consist of words. There is no authentication: serve it on a loopback address, or
// behind a server that authenticates, and wrap it in [Guard].
//
// Begin with handler.go; guard.go protects it from web pages.
package status
