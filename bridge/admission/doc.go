// Package admission decides which requests may start, which wait and which are refused, so that
// slow requests never take the workers that short ones need. It knows nothing of HTTP, sockets or
// processes, and its caller may give it a clock.
//
// A [Gate] has as many slots as the application has workers. A [Request] says what is asked for
// (its route) and who asks (its client key). From what earlier requests of the route turned out to
// be, the gate takes the request for short, unknown, mixed or long (its [Lane]). Then it starts the
// request, makes it wait, or refuses it and says when to try again:
//
//   - Long requests, such as long-polls, start only while they hold fewer slots than a limit, the
//     LongCap. The other slots are for short requests: a reserve that is always kept, and as many
//     more as the measured load of short requests needs by Erlang's C formula. Long requests wait
//     in the gate, where one takes less than a kilobyte and no worker.
//   - A request that runs for longer than LongAfter counts as long from then on. Requests of an
//     unknown route start a few at a time until the route is known.
//   - Upgraded connections stay open for hours, so they have a limit of their own, MaxUpgraded, below
//     that of long requests. Beyond it they are refused at once.
//   - A client has a limit of requests in flight and a budget of worker-seconds, and the queues
//     serve clients in turn. The limits are for the benefit of other clients: while nobody else
//     wants a slot, a client's request may borrow one that a long request could have.
//   - Clients can make up client keys, but not the addresses they come from. Therefore an address
//     has few of the places of unknown requests and a bounded number of queues, and when a waiting
//     room is full, the newest request of the client and address with the most requests in it is
//     refused. The wait that the gate predicts for a request is the wait for the turn of its own
//     client.
//   - A request that the application itself has sent, and that one of its workers waits for, goes
//     before all others ([Ticket.Nested]). Slots are kept for such requests.
//   - When no request ends any more, the application has stalled. Then one request at a time probes
//     whether it answers again.
//   - A caller that knows that the application is down for some time has all waiting requests
//     refused ([Gate.RefuseWaiting]).
//   - A client of several gates has its limit and its budget at all of them together: see fleet.go.
//   - The Config may be changed while the gate is in use ([Gate.Configure]). A change refuses no
//     request.
//
// Begin with gate.go, whose method enter is the way of a request into the gate. lane.go classifies
// the request, limits.go has the limits that it must respect, queues.go the places where it waits,
// and dispatch.go starts it. flight.go follows the request from its start to its end.
//
// What always holds:
//
//   - A ticket is granted only while fewer tickets hold slots than there are slots. When slots
//     disappear, because the application turns out to hold fewer requests or Workers is lowered,
//     the gate waits until enough tickets are given back.
//   - A long request starts only while long requests hold fewer slots than Snapshot.LongCap, which
//     never exceeds the number of slots less the reserve; or when no slot has been in use for a
//     second. While upgrades hold slots, LongMin other long requests may start although the limit is
//     reached, but never in the reserve. A mixed request may also take slots that other routes do not need, and a nested one
//     any slot.
//   - No request waits longer than Timeout and a tick (50 ms). The limit is LongTimeout, and a
//     tick, for a request that was ever taken for mixed or long, or that waits only for others of
//     its client. The timeouts are those at the time when the limit began to apply.
//   - A request whose client left before the grant never takes a slot: leaving and granting exclude
//     each other under one mutex.
//   - No more upgrades wait and are in flight than MaxUpgraded, unless that has fallen since.
//   - A client has at most its limit of short requests in flight, and as many long ones, while
//     another client wants a slot or only the reserve is free; with other gates, what is known to be left
//     of the limit, but one request at least. A client that may stand for many
//     people (Request.Shared) has no limit, and the limit does not apply to nested requests.
//   - During a stall, one request at a time starts besides those that were in flight before. The
//     time until the next one doubles.
//   - A ticket is granted once or refused once, and gives its slot back once.
//
// A decision takes constant time, but for the heaps of waiting requests, which take logarithmic
// time. Everything that takes longer is done by ticks, for a bounded number of requests at a time,
// or once a second (Erlang's formula, in time proportional to the number of slots).
package admission
