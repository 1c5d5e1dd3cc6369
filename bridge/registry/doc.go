// Package registry keeps applications over changes of the configuration. An application that a new
// configuration does not change is not touched, changed settings are changed in place, and a
// configuration that fails changes nothing. The package is for servers that load configurations
// while they run; it does not read them. The Caddy module is an adapter to it.
//
// Begin with configuration.go and site.go. registry.go finds the application for a site, claim.go
// and reload.go decide which settings are in force.
//
// # Types
//
// A Registry holds the Applications, each a bridge.Application with its settings and sites. A process
// has one Registry, and closes it last.
//
// A Configuration is one version of the server's settings. After it is created, its parts acquire
// their Sites; then it is started, and stopped when the next one has started. Start prepares
// everything that can fail, and starts new processes. The changes are committed when the previous
// configuration is stopped, because a server stops that one only when nothing of the new one can
// fail any more.
//
// A Site is a bridge.Handler in front of an Application, used by a part of a configuration, such as
// a handler. Upstreams are Sites whose addresses become known with requests. A User names a part,
// and says where its Applications log and report events.
//
// A claim is the settings that one Configuration wants an Application to have. Its Sites share it.
// The claim of the latest Configuration that runs is in force.
//
// # Who owns what
//
//	what                       owner                    released by
//	bridge.Application         the Registry             itself, when no Site is left, or Close
//	bridge.Handler of a Site   the Sites that share it  the last of them, after Release
//	Site                       the caller of Acquire    Release, once
//	Sites of Upstreams         the Upstreams            Release, or when they are not used
//	claim                      the Sites that share it  Release of the last of them
//	prepared changes           the Configuration        commit or cancel: Start and Stop
//	metrics of an Application  the Configuration        when it has no Site of it any more (show)
//	queued events              the Application          itself; closing waits for them
//
// # What always holds
//
//   - An Application is in the Registry exactly as long as it has a Handler that is not closed. Its
//     name is unique for as long.
//   - The Handler of a released Site serves requests during a grace period, and then until no request is
//     in it. Then it is closed. When the process ends, it is closed at once, and its requests end when
//     the Application is closed.
//   - A Site that has kept the Handler of another one shares it: Keep. The Handler closes with the last of
//     them, and its upgraded connections end with it.
//   - Two Sites of one Configuration with the same backends have the same Application, and the
//     same settings of it; two values for one setting are an error.
//   - An Application has the settings of the latest committed Configuration with a claim on it.
//     Without a claim, it keeps its settings.
//   - While a Configuration is provisioned or started, no Application of another one changes. If
//     the Configuration fails, none has changed.
//   - Processes are started by Start of a Configuration, never before.
//   - An Application logs to the latest User that remains, or to Options.Log if there is none.
//     Events are delivered in order, and only closing waits for their delivery.
package registry
