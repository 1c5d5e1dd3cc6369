// Package spool holds bodies between a side that is fast and a side that is
// slow: in memory first, then in a temporary file, within budgets that all
// bodies of one [Store] share.
//
// A [Buffer] is written once and then read as often as needed: a request body
// that must be complete before a worker is taken, and may have to be sent
// twice. A [Pipe] is a queue between one writing and one reading goroutine: a
// response that the worker should finish writing long before a slow client has
// finished reading. The package knows nothing of HTTP and starts no goroutines.
//
// Who gets room, where there is too little for all:
//
//   - The first page of each request body is beside the budgets, so that a small
//     one is never refused for what others hold.
//   - In memory, and among answers on disk, an eighth is left free for the other
//     kind of body, until that has half of it all; and by a client that holds more
//     than a quarter, another eighth for other clients.
//   - A request body that finds no room on disk stays in memory as long as there is
//     some. Then it gets room on disk at the cost of answers, as long as requests have
//     less than half; beyond that at the cost of request
//     bodies that are not there to their end, of a client that holds twice as much,
//     or of its own client if that body is twice as large. Of the client that holds
//     most, the body goes that will hold its room for longest. A request fails if
//     there is none.
//   - An answer waits for room, and goes on at its reader's pace meanwhile. Each second
//     it may get some at the cost of an answer that is known to be slow: of another
//     client that holds more than a quarter of the disk in answers, or, while others
//     wait for the worker that writes it, of its own client if that does.
//   - Among requests on disk, a client that holds more than a quarter leaves an eighth
//     free for other clients: what is there to its end is not given up for them.
//   - So what a client holds is limited only in favour of others. Where all clients
//     seem to be one, because a proxy is not declared, that leaves them three quarters
//     of the disk for answers, and seven eighths for requests.
//
// What always holds:
//
//   - Memory and disk in use never exceed the budgets; beside them are two pages
//     for each Buffer at most, and one for each [Scratch]. Memory is counted in chunks, as it is allocated,
//     disk in the size of the files. A file counts for Disk/Files bytes at least, so
//     that there are never more than Files of them.
//   - Whoever called NewBuffer or NewPipe owns it and calls Close. When Close
//     has returned, its memory, file and budget are given back, each exactly
//     once, whatever was going on in other goroutines. So they are when a body was
//     given up for others ([ErrCut]), before those get the room.
//   - A body is given up at most once, and never a request that is there to its end.
//     Its [Cutter] is called once at most, and not after Close.
//   - Temporary files have mode 0600 and no name. On Linux they never have one, so
//     that not even a killed process leaves one behind.
//   - A disk that fails loses nothing that it has taken. A Pipe's Write waits then as
//     it does without budget, a Buffer stays in memory while there is some; it fails
//     with [ErrDisk] or [ErrDiskFull]. Writing is tried again every second.
//   - A Write of a Pipe that waits hands its bytes directly to the reader, so that a
//     Pipe without any budget is as slow as its reader but not stuck.
//   - No lock is held during disk I/O.
//   - Chunks are reused across bodies. Nothing reads one beyond what its present
//     owner has written; the slice that [Buffer.Bytes] returns must not be used
//     after Close.
package spool
