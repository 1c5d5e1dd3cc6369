// Package pool owns the connections to one backend: it dials them, leases them to requests,
// keeps them between requests and closes them. A backend is one or more instances of the
// same application, each at its own address.
//
// Package admission decides which requests may start. Config.Codec knows the protocol on a
// connection. The pool does not send a request again; [Error.Replay] says whether that is
// safe.
//
// A request says what it needs ([Demand]) and gets a [Lease]: of a connection of its own,
// kept or new, or of a stream of a shared connection.
//
// Who owns what:
//
//	room in the budget   a connection, from startDial until free; a stream, until release
//	connection           one of: its dial, its Lease, the idle list (under the mutex), the
//	                     goroutine of its present state (querying, atWork, closing)
//	shared connection    mux.Conn, which has two goroutines or is driven by an event loop; each
//	                     stream has one Lease
//	goroutine            Pool.tasks; Close waits for all
//	waiter               Pool.waiters until resolve, which is called once: by dispatchWaiters,
//	                     recycle, dial, or abandonWait when the request has left
//	Lease                the request, which calls Release once
//
// What always holds:
//
//   - The connections to an instance, in any state, plus the requests on shared connections
//     beyond the first of each, never exceed Config.Workers. If Workers was lowered
//     ([Pool.Configure]), none is added until this holds again. An idle connection may hold
//     a worker as a busy one does: it is closed before a request waits.
//   - No connection is dialled before a request needs it, and none is kept that was never
//     used: a new connection without a request holds a worker of PHP or libfcgi for seconds.
//   - A connection is kept only if the answer ended properly, the whole request was sent, and
//     no byte is left. Before it is used again, it must still be open and silent.
//   - Where processes may work on after an answer (Config.WorksOn), a kept connection is used
//     only if its process is back, as far as that can be known. Until then the process counts
//     as taken.
//   - With KeepAuto, one connection at most is kept before the application is known to take
//     that.
//   - Request ids run from 1 to 65535 and start again, on each connection, so that what is
//     left of an earlier answer has another id. On a shared connection the id of a request
//     that was given up is never used again.
//   - When Drain or Remove has returned, no request gets a connection to the instance. Dials
//     and other work in progress there end by themselves, and change nothing for other
//     instances.
//
// An application that is full is not down. If it closes a new connection at once, says that
// it is overloaded, or lets its backlog fill, it is believed to hold fewer connections for a
// minute; requests wait, or go to another instance. One of several instances that cannot be
// connected to is set aside, and dialled again after 1 s, 2 s, and so on up to every 30 s.
// [Pool.Capacity] is how many requests all instances are believed to hold.
//
// Reading begins in pool.go: Config, Pool and its mutex. Then follow the way of a request:
//
//   - demand.go: Lease and LeaseFunc; choose.go: which instance
//   - waiter.go: requests that wait; dial.go, query.go: new connections
//   - lease.go: the request and its answer; conn.go: the connection; notaccepted.go,
//     unread.go: requests that the application does not read
//   - recycle.go: what becomes of the connection; budget.go, closing.go: its states
//
// What is known of an instance (instance.go):
//
//   - membership.go: whether it gets requests; outage.go: whether it can be connected to
//   - capacity.go: how many connections it holds; acceptqueue.go: whether it accepts them
//   - behaviour.go: how it treats kept connections; keepalive.go, keptquery.go: whether they
//     are kept at all; atwork.go, queryback.go: whether a process is back after its answer
//   - sharing.go and package mux: shared connections
//
// configure.go, maintain.go, snapshot.go, errors.go and journal.go serve all of these.
package pool
