// Package spool holds bodies between a side that is fast and a side that is
// slow: in memory first, then in a temporary file, within budgets that all
// bodies of one [Store] share.
//
// A [Buffer] is written once and then read as often as needed: a request body
// that must be complete before a worker is taken, and may have to be sent
// twice. A [Pipe] is a queue between one writing and one reading goroutine: a
// response that the worker should finish writing long before a slow client has
// finished reading. The package knows nothing of HTTP, keeps no time and starts
// no goroutines.
//
// What always holds:
//
//   - Memory and disk in use never exceed the budgets. Memory is counted in
//     chunks, as it is allocated, disk in the size of the files.
//   - Whoever called NewBuffer or NewPipe owns it and calls Close. When Close
//     has returned, its memory, file and budget are given back, each exactly
//     once, whatever was going on in other goroutines.
//   - Temporary files have mode 0600 and no name: they are removed as soon as
//     they are created, so that not even a killed process leaves one behind.
//   - Budgets used up make a Buffer fail with [ErrDiskFull]. A Pipe never fails
//     for that: its Write waits, and hands its bytes directly to the reader, so
//     that a Pipe without any budget left is as slow as its reader but not stuck.
//   - No lock is held during disk I/O.
//   - Chunks are reused across bodies. Nothing reads one beyond what its present
//     owner has written; the slice that [Buffer.Bytes] returns must not be used
//     after Close.
package spool
