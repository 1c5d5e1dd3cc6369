// Package fcgitest plays well-behaved and misbehaving FastCGI applications for tests. A [Peer] accepts
// connections, in memory or on a unix socket, and plays a [Script] on each. The scripts are named after the
// misbehaviour. A [Fault] breaks a connection between client and Peer at one byte. Begin with peer.go and
// good.go.
//
// The behaviour of real applications, and the script for it:
//
//   - GET_VALUES is answered in one of several ways, or never: [Peer.Values] with
//     [ValuesLibfcgi], [ValuesPHP], [ValuesTrac], [ValuesYes], [ValuesEmpty],
//     [ValuesSilent], [ValuesUnknown] and others.
//   - FCGI_KEEP_CONN is honoured: [Hello]; it is not: [CloseAfterEnd].
//   - A connection occupies a worker, idle or not: further connections wait for a process,
//     [Processes], or are closed at once without a thread, [Threads]. A thread becomes free some time
//     after its connection has been closed.
//   - A new connection that stays silent is dropped: [DropsSilent], [Processes]; no other connection
//     is accepted until then: [AcceptMutex]. None is accepted while a kept connection is idle:
//     [AcceptLock].
//   - Requests on one connection are served one after the other: [Each]; at once:
//     [Multiplexed]; all but one are refused or lost: [CantMpx], [CloseAfterEnd].
//   - ABORT_REQUEST is ignored: [AbortsIgnored], [MuxIgnoresAbort]; closes the connection:
//     [AbortsDeadly]; ends a request twice: [MuxAbortTail].
//   - A silent handler continues after the connection has been closed: [SilentForever], [MuxAfter]; a
//     handler that writes stops: [Ticks].
//   - A half-close is not noticed: [Hello]; it ends the connection without an answer: [Multiplexed].
//   - A body is left unread, and the connection is used again, [EarlyAnswer], or closed,
//     [BodyUnreadClosed].
//   - Large parameters are not answered: [SmallParams].
//   - Roles are ignored, or refused: [Refuse] with [UnknownRole].
//   - The connection is closed with the last of several requests: [MaxRequests]. The worker continues
//     after the end of an answer: [WorksOn]; it leaves the end of STDIN unread: [LeavesStdin].
//   - The process is restarted or reloaded: [Peer.Restart], [Peer.Reload].
//   - A full backlog: [Listen].
//   - The output and its end are unusual, in any pieces: [Says], [MuxSays].
//
// Input that would break a serial application, such as a pair across PARAMS records or a second
// BEGIN_REQUEST within a request, fails the test.
//
// The package shares no code with package fcgi, and is not for other uses: it writes and reads records byte
// by byte, so that a mistake in package fcgi is not repeated here.
//
// What always holds:
//
//   - Connections in memory behave like unix sockets on Linux: a direction holds 208 KiB; closing with
//     unread bytes makes the peer's read fail with ECONNRESET after the bytes sent before, closing
//     without makes it return io.EOF; a write to a closed peer fails with EPIPE; a listen backlog of n
//     takes n+1 connections, then connect fails with EAGAIN.
//   - They work inside testing/synctest bubbles: waiting on them is durable blocking. Scripts that let
//     time pass are meant for bubbles.
//   - When the test has ended, or Close has returned, every script has ended and every connection is
//     closed.
package fcgitest
