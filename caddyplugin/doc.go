// Package caddyplugin puts Sluice's gate into Caddy: as a handler, http.handlers.sluice
// with the Caddyfile directive sluice, and as a transport of reverse_proxy,
// http.reverse_proxy.transport.sluice. admin.api.sluice shows what they do.
//
// It only translates. What the gate does, and every word of its configuration, is
// package bridge's.
//
// What always holds:
//
//   - Gates, connections and what was learned belong to no module: they are in a usage
//     pool (registry.go), and live on when a new configuration wants the same ones, or
//     some of them.
//   - They are what the latest configuration wants that runs: they change when all of it
//     has started (app.go, reload.go), not when it is provisioned, and nothing of them has
//     changed if it fails.
//   - A site is closed only when no configuration uses it and no request is in it, and an
//     application when it has no site.
//   - Requests never depend on the context of a module, which ends while they run.
package caddyplugin
