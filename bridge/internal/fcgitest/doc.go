// Package fcgitest plays FastCGI applications for tests, good ones and bad ones:
// a [Peer] accepts connections, in memory or on a unix socket, and plays a
// [Script] on each. The scripts' names are those of the misbehaviours.
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
