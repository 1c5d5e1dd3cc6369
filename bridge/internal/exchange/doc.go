// Package exchange decides what happens to one request: who asks, whether it may start, what
// the application is sent, what becomes of the answer, whether the request is sent again, and
// what the client is told if it fails.
//
// An [Exchange] is a state machine without I/O. Begin, and each method that reports what has
// happened (BodyRead, Granted, Leased, Sent, Happened, Paused, Opened, Replied, Relayed,
// FileSent, FrontServed, Upgraded), return a [Wait]: what the exchange waits for next. A driver does the
// waiting. Package blocking waits in a goroutine for each request, for net/http; an event loop
// can do it with callbacks. Every rule about requests is here, once, whatever the driver.
//
// Start with exchange.go, which has the way of a request from its first step to its last.
// authorize.go asks an authorizer first, if the site has one. admit.go is the way to a
// connection, attempt.go sends the request and decides whether it is sent again, header.go and
// answer.go receive the answer, rest.go the part of it that is sent to the client while it
// arrives, upgrade.go what follows a 101. held.go is about clients that are held, gone.go about those that were. ports.go has what a driver and a site provide. hold.go owns what is held of the
// application; abandoned.go waits for an application whose client has left. failure.go and
// refuse.go are what clients and the log are told of errors.
//
// What always holds:
//
//   - No method blocks, except in what a driver or a site does when it is called.
//   - A request costs no worker before it was granted one: what its header alone decides, and
//     its body unless it is streamed, come first.
//   - A request that needs an authorizer takes nothing of the application, and nothing is read of
//     its body, before a complete answer with status 200 has let it pass. The same holds anew for
//     the target of a local redirect.
//   - The grant, the lease and the buffers of an exchange are given back exactly once. If
//     nobody waits for a silent application any more, because the client has left or was
//     sent a 504, grant and lease stay taken until the application has finished or
//     Timeouts.Abandoned has passed: the worker is taken, too.
//   - A request is sent a second time only if package pool says that it was provably not
//     run, or if its method is idempotent, and only while nothing was taken from its answer. The
//     question to an authorizer counts as idempotent.
//   - An answer that is not complete is never ended cleanly: the client gets a 502 or, once
//     the header was sent, an aborted connection. An answer that is complete (package
//     content) is delivered, whatever comes after it, and when.
package exchange
