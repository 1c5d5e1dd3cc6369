// Package caddyplugin puts Sluice's gate into Caddy: as a handler, http.handlers.sluice
// with the Caddyfile directive sluice, and as a transport of reverse_proxy,
// http.reverse_proxy.transport.sluice. admin.api.sluice shows what they do.
//
// It only translates. What the gate does, and every word of its configuration, is
// package bridge's; what becomes of applications in a reload is package registry's.
//
// What always holds:
//
//   - Gates, connections and what was learned belong to no module. A module has a site, which
//     it gives back when it is cleaned up (handler.go), or those of its upstreams (transport.go).
//   - One App (app.go) in each configuration of Caddy tells the registry when that has started
//     and when the one before is stopped.
//   - Requests never depend on the context of a module, which ends while they run.
package caddyplugin
