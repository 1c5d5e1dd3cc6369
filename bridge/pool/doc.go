// Package pool owns the connections to one backend: it dials them, leases them to
// requests, keeps them between requests and closes them. A backend is one or more
// instances of the same application, each at an address of its own.
//
// It does not decide who may start (package admission does), does not know what is said
// on a connection (Config.Codec does), and does not send a request again: it says, in
// [Error.Replay], whether that is safe.
//
// A request says what it needs ([Demand]) and gets a [Lease]: of a connection of
// its own, kept or new, or of a stream of one that it shares. Which instance that
// is, is decided by their load.
//
// What always holds:
//
//   - One budget per instance: its connections, whatever their state (dialling, busy,
//     idle, being asked, at work, closing), and what requests there are beyond one on a
//     shared connection, never exceed Config.Workers. Where that was lowered (Configure), nothing is added until it
//     holds, and what comes back is closed. An idle connection to an old server holds
//     a worker just as a busy one does, so an idle one is given up before a request
//     waits.
//   - A connection that was never used is never kept, and none is dialled
//     before a request needs it: a silent new connection occupies a worker of
//     PHP or libfcgi for seconds.
//   - A connection goes back to the pool only if the application ended the
//     request properly, everything we owed it was sent, and not one byte is
//     left over. Anything else closes it. Before reuse it is looked at once
//     more: a byte or an end-of-file that arrived meanwhile closes it too.
//   - Where processes may work on after an answer (Config.WorksOn), a kept connection is
//     given to a request only when its process has come back to it, as far as that can be
//     seen or asked. Until then the process counts as taken.
//   - With KeepAuto no connection is kept before it is known that the application takes
//     that, but one to try it out.
//   - Request ids run from 1 to 65535 and around, per connection: where the protocol has
//     ids, what is left of the answer to an earlier request has the wrong one and is
//     noticed. On a shared connection the id of a request that was given up is never used
//     again. Id 0 is never used.
//   - A shared connection is read without waiting for any one request's owner, but
//     for a moment: one that does not take its answer loses it, alone. What waits on it,
//     in either direction, is charged to a budget (Config.Memory), but for a little.
//   - Every connection has one owner at a time, and every Lease ends with one
//     call of Release.
//   - When Drain or Remove has returned, nobody is given a connection to the instance.
//     What is under way there ends by itself - dials, looks at its queue, the wait for an
//     end - and changes nothing for others. Remove cuts what is in use.
//
// Full is not dead. An application that closes a new connection at once, says that it
// is overloaded, or lets its backlog fill, has no room: it is believed to hold less
// than it was asked to, for a minute, and requests wait or go to another instance. One
// of several instances that cannot be connected to at all is set aside, and tried
// again by the pool itself after 1 s, 2 s, and so on up to every 30 s.
// [Pool.Capacity] is what is believed of all of them.
//
// Instances come and go while the pool is used ([Pool.Add], [Pool.Drain], [Pool.Remove]);
// while there is none, requests wait. What the pool goes by may change, too
// ([Pool.Configure]), and no request is stopped because of it.
//
// An application may hold less without a word: connections wait to be accepted. Where
// that can be seen ([Instance.Queue]), as many kept ones are closed as wait, once a
// second, and never one that is used.
//
// Where things are: lease.go is what a request has, demand.go, waiter.go, dial.go and
// ask.go the way it gets it; budget.go and closing.go what happens to a connection,
// conn.go and input.go what is read from it; standing.go how instances come and go,
// configure.go how Config changes, unaccepted.go what happens when nobody accepts
// connections; choose.go, capacity.go, habits.go, outage.go and queue.go what is known of
// an instance, tend.go what is done about it in time; keepalive.go and inquiry.go whether
// connections are kept, atwork.go and askback.go whether a process is back, ignored.go what
// becomes of a request that is not read; sharing.go which connections are shared, mux.go,
// stream.go, memory.go and ids.go how.
package pool
