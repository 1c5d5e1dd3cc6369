// Package admission decides who may start, who waits and who is refused, so that
// slow requests never take the workers that short ones need. It knows nothing of
// HTTP, sockets or processes; time comes from a clock that is given to it.
//
// A Gate has as many slots as the application has workers. A request says what it
// asks for (its route) and who asks (its flow); the gate takes it for short, long,
// mixed or unknown, by what requests of that route turned out to be, and starts it,
// lets it wait, or refuses it with the time to come again:
//
//   - Long requests, such as long-polls, start only while fewer than a number of
//     slots hold long requests. The rest is left to short ones: a reserve that is
//     always there, and what Erlang's C formula says that the measured load of short
//     requests needs. Long ones wait in the gate, where one costs less than a
//     kilobyte, not a worker.
//   - A request that takes too long counts as long from then on, and those of an
//     unknown route start a few at a time until it is known.
//   - A flow has so many requests in flight at most, and a budget of worker-seconds;
//     the queues serve flows in turn. That is for others: what nobody else wants, a
//     flow may have beyond its limit, as a guest that takes what a long request could.
//   - Flows may be made up; clients, the addresses that they come from, cannot. A client
//     has few of the places to find out about unknown routes, so many turns as flows but
//     not more than so many, and when a queue is full, the newest request of whoever has
//     most in it makes room. What a request would wait for is what its own turn would.
//   - A request that the application itself has sent, while a worker of it waits for the
//     answer, goes before all others ([Ticket.Nested]), and slots are kept for such ones.
//   - When nothing ends any more, the application has stalled: one request at a time
//     finds out when it is back.
//   - Whoever knows that the application is gone for a while says so, and those who wait
//     are refused ([Gate.RefuseWaiting]).
//   - What the gate goes by may be changed while it is used ([Gate.Configure]). That
//     decides about who starts or comes from then on; nobody is refused because of it.
//
// What always holds:
//
//   - A ticket is granted only while fewer are out than there are slots. (Slots that
//     vanish, as the application turns out to hold less or Workers is lowered, are
//     waited for.)
//   - A long request starts only while fewer slots than Snapshot.LongCap, which is at
//     most the slots but the reserve, hold long ones; or when nothing has been in flight
//     for a second. A mixed one may also have what other routes do not need, and a nested
//     one any slot.
//   - Nobody waits longer than Timeout, or LongTimeout who was ever taken for mixed or
//     long, or waits for others of its own flow; and a tick (50 ms). Those are as they
//     were when it came, or was found to wait for that.
//   - A request whose client left before its grant never takes a slot: leaving and
//     granting exclude each other under one mutex.
//   - A flow has no more in flight than its limit, of short and of long ones each, while
//     anybody else wants the slots or they are the reserve's; but one that may be many
//     people (Request.Shared) has none, and nested requests go beyond it.
//   - While a stall lasts, what was in flight is at stake, and one more at a time: the
//     next after a time that doubles.
//   - A ticket is granted once or refused once, and gives its slot back once.
//
// A decision takes constant time, but for a heap of those that wait. What takes longer
// is done by ticks, for so many at a time, and once a second (Erlang's formula: the
// number of slots).
package admission
