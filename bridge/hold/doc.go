// Package hold keeps clients that wait for messages on channels, and hands each message that is
// published on a channel to all that wait there. It knows nothing of HTTP, sockets or time-outs: a
// driver does the waiting, and is woken.
//
// Begin with registry.go: a [Registry] has the channels of one application. hold.go is one client
// that waits, channel.go the order of messages on a channel, recovery.go who may ask the application
// again. Package grip reads what the application and publishers say.
//
// What always holds:
//
//   - Each [Hold] ends once, with one [End], whatever is published, expires, drains or leaves at the
//     same time. Nothing is delivered after its end. When it has ended it is on no channel.
//   - Messages are delivered in the order in which they were published. One whose predecessor is
//     known to be missing waits for it for a moment; then those who missed the predecessor recover.
//     A message is delivered to a Hold at most once, also if it is published twice with the same id.
//   - Memory is bounded: Holds in all, of one client and on one channel, channels of one Hold, bytes
//     that wait for one Hold, messages that wait for their predecessors, channels that are remembered
//     although nobody waits there. Messages are shared by all that they wait for.
//   - A Waiter is called without the lock, so it may call the Hold.
package hold
