// Package registry keeps applications over changes of the configuration: what a new
// configuration does not change goes on untouched, what it changes is changed in place, and a
// configuration that fails changes nothing. It is for servers that load a configuration
// while they run, and knows nothing of how that is written or when it is read. The Caddy
// module is an adapter to it.
//
// # Types
//
// A Registry has the Applications: each is a bridge.Application with what describes it. There is
// one Registry for each process, which closes it last.
//
// A Configuration is one version of the server's settings. It is made first; then its parts
// take what they use; then it is started, and stopped when the next one has started. While it
// is started, everything that can fail is prepared (reload.go), and new processes are started.
// The changes are committed when the configuration before it is stopped, because a server
// stops that only when nothing of the new one can fail any more.
//
// A Site is what a part of a configuration, such as a handler, has of an Application: a
// bridge.Handler in front of it. Upstreams are Sites whose addresses are not known before
// there is a request. A User says who a part is, and where its Applications log and report
// events.
//
// A claim is what one Configuration wants an Application to be; the Sites of that Configuration
// stand behind it together. The claim of the latest Configuration that runs is in force.
//
// # Who owns what
//
//	what                       owner                    released by
//	Backend of an Application  the Registry             itself, when no Site is left, or Close
//	Bridge of a Site           the Site                 the Site, after Release
//	Site                       who has acquired it      Release, once
//	Sites of Upstreams         the Upstreams            Release, or when they are not used
//	claim                      the Sites behind it      Release of the last of them
//	prepared changes           the Configuration        commit or cancel: Start and Stop
//	metrics of an Application  the Configuration        when it has no Site of it any more (show)
//	queued events              the Application          itself; closing waits for them
//
// # What always holds
//
//   - An Application is in the Registry exactly as long as there is a Site that is not closed,
//     and its name is no other's as long.
//   - A Site that is released serves the requests that come for a grace period, and after it
//     until no request is in it. Then it is closed. When the process ends, it is closed at once,
//     and requests in it end when their Application is closed.
//   - Two Sites of one Configuration with the same backends have the same Application, and the
//     same settings of it; two values for one setting are an error.
//   - An Application has the settings of the latest Configuration that was committed and wants
//     it. One that nobody wants keeps those that it has.
//   - While a Configuration is provisioned or started, no Application that another one uses
//     changes. If it fails, none has changed.
//   - Processes are started by Start of a Configuration, never before.
//   - What an Application logs goes to the latest User that is still there; to Options.Log if
//     there is none. Events are delivered in order, and nothing waits for their delivery but
//     closing.
package registry
