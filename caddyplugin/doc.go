// Package caddyplugin has the modules for Caddy: the handler http.handlers.sluice with the Caddyfile
// directive sluice, the transport http.reverse_proxy.transport.sluice of reverse_proxy, and
// admin.api.sluice, which shows their state. Begin with handler.go. webserver.go has the networks of
// listeners at which web servers speak FastCGI or SCGI, and sharedserver.go serves them.
//
// The package only translates. Package bridge has the gate and its settings, package registry keeps the
// applications over reloads.
//
// What always holds:
//
//   - Gates, connections and statistics belong to no module. A module has a site, which it releases in
//     Cleanup (handler.go), or the sites of its upstreams (transport.go).
//   - Each configuration of Caddy has one App (app.go), which starts and stops it in the registry.
//   - A socket for web servers, and its connections, belong to a sharedServer, which all configurations
//     with the address and the same settings share, and which the last one ends.
//   - Requests never depend on the context of a module, which ends while they are in progress.
package caddyplugin
