// Package fleet shares the workers of one application between several gates, on one machine or many:
// a lease says how many connections a gate may have to each instance of the application. The gates count
// their clients together as well, approximately: see Clients.
//
// A Ledger keeps the leases; Redis is one, with a script that does each renewal at once. A Member is a
// gate's side: it renews the lease each second, sooner when requests wait for connections, and tells
// the pool what it may use. No request waits for the ledger.
//
// Reading begins in terms.go. lease.go is the gate's side without any I/O, member.go drives it;
// ledger.go is Redis, and lease.lua what happens in it; clients.go and clients.lua are the same for clients.
//
// What always holds, while clocks run at about the same speed:
//
//   - What the gates hold is never more than the application's workers. A gate holds what it may use,
//     and connections beyond that until their requests are over. Only what it no longer holds is given
//     to another.
//   - A gate whose lease ends uses no more than its share from then on: the workers, divided by the number
//     of gates that there may be. What it holds is given to others only when Settle has passed as well, in
//     which its requests must end; a share stays reserved for it for Forget. So a gate that the ledger
//     cannot be reached from never stops serving, and never has more than a share.
//   - A ledger that may have forgotten something grants nothing more for a term, or until all gates that
//     there may be have said what they hold. It has forgotten if it is empty, or if its server was started
//     anew. That it trusts no clock: its own time goes on by at most two seconds from one renewal to the
//     next.
//   - A message that is late changes nothing: reports are numbered.
//   - A gate that leaves, or drains, gives its workers back as its requests end.
//   - The ledger knows clients by names that are keyed hashes. All gates that it has answered within a second
//     have the same key. What comes of clients never changes a lease.
//   - What is kept and sent of clients is bounded, whatever clients do, and so is what is read of the ledger.
package fleet
