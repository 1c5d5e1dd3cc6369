// Package fcgitest plays FastCGI applications for tests, good ones and bad ones:
// a [Peer] accepts connections, in memory or on a unix socket, and plays a
// [Script] on each. The scripts' names are those of the misbehaviours. A [Fault]
// breaks a connection between the two at one byte.
//
// What real applications do, and what plays it:
//
//   - GET_VALUES is answered in one of several ways, or never: [Peer.Values] with
//     [ValuesLibfcgi], [ValuesPHP], [ValuesTrac], [ValuesYes], [ValuesEmpty],
//     [ValuesSilent], [ValuesUnknown] and others.
//   - FCGI_KEEP_CONN is honoured: [Hello]; it is not: [CloseAfterEnd].
//   - A connection pins a worker, idle or not: further ones wait for a process,
//     [Processes], or are closed at once for lack of a thread, [Threads]. A thread
//     is free some time after its connection has been closed.
//   - A new connection that stays silent is dropped: [DropsSilent], [Processes];
//     nobody else is accepted until then: [AcceptMutex]. Nobody is while a kept connection
//     is not used: [AcceptLock].
//   - Requests on one connection are served one after the other: [Each]; at once:
//     [Multiplexed]; all but one are refused or lost: [CantMpx], [CloseAfterEnd].
//   - ABORT_REQUEST is ignored: [AbortsIgnored], [MuxIgnoresAbort]; costs the
//     connection: [AbortsDeadly]; ends a request twice: [MuxAbortTail].
//   - A silent handler runs on when the connection has been closed:
//     [SilentForever], [MuxAfter]; one that writes stops: [Ticks].
//   - A half-close is not noticed: [Hello]; it ends the connection without an
//     answer: [Multiplexed].
//   - A body is left unread, and the connection is used on, [EarlyAnswer], or
//     closed, [BodyUnreadClosed].
//   - Large parameters are not answered: [SmallParams].
//   - Roles are not looked at, or refused: [Refuse] with [UnknownRole].
//   - The last of several requests ends together with the connection:
//     [MaxRequests]. The worker works on after the end of an answer: [WorksOn]; it leaves
//     the end of STDIN unread: [LeavesStdin].
//   - The process is restarted or reloaded: [Peer.Restart], [Peer.Reload].
//   - A full backlog: [Listen].
//   - What is said, and how it ends, is odd, and comes in whatever pieces: [Says],
//     [MuxSays].
//
// What breaks a serial application, such as a pair that crosses PARAMS records or
// a second BEGIN_REQUEST in the middle of a request, fails the test instead.
//
// It is not an implementation of FastCGI to build on, and it shares no code with
// package fcgi: records are written and read byte by byte here, so that a mistake
// there is not made twice.
//
// What always holds:
//
//   - Connections in memory behave as unix sockets do on Linux: a direction holds
//     208 KiB; who closes with bytes unread makes the other side's read fail with
//     ECONNRESET, after what was sent before; else it is io.EOF; a write to
//     who has closed is EPIPE; a listen backlog of n takes n+1 connections, then
//     connect is EAGAIN.
//   - They work inside testing/synctest bubbles: whoever waits on one waits
//     durably. Scripts that let time pass are meant for bubbles.
//   - When the test ends, or Close is called, every script has ended and every
//     connection is closed.
package fcgitest
