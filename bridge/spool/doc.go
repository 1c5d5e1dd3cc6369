// Package spool holds bodies between a fast side and a slow side: first in memory, then in a temporary file,
// within budgets that all bodies of one [Store] share. Begin with pipe.go and buffer.go; holding.go has what
// they share, room.go and cut.go decide which body gets room.
//
// A [Buffer] is written once and may then be read several times. It is for request bodies, which must be
// complete before the request takes a worker, and may have to be sent twice. A [Pipe] is a queue between one
// writing and one reading goroutine. It is for answers, which the worker should finish long before a slow
// client has read them. The package knows nothing of HTTP and starts no goroutines.
//
// Without room for all bodies, they get room by these rules:
//
//   - The first page of each request body is outside the budgets, so that a small body is never refused
//     because of what other clients hold.
//   - In memory, and on disk among answers, an eighth is left free for the other kind of body, until that
//     kind holds half of the budget. A client that holds more than a quarter leaves another eighth for
//     other clients.
//   - A request body without room on disk stays in memory while there is room. Then answers are cut for it,
//     while requests hold less than half of the disk; beyond that, incomplete request bodies of a client
//     that holds twice as much, or of its own client if that body is twice as large. Of the client that
//     holds most, the body is cut that would hold its room for longest. Without such a body, the request
//     fails.
//   - An answer without room continues at its reader's pace. Once a second, a slow answer may be cut for it:
//     of another client whose answers hold more than a quarter of the disk, or, while requests wait for the
//     worker, of its own client if its answers do.
//   - On disk among requests, a client that holds more than a quarter leaves an eighth free for other
//     clients, because complete requests are never cut.
//   - So a client is limited only in favour of others. If all clients seem to be one, because a proxy is not
//     declared, three quarters of the disk remain for answers, and seven eighths for requests.
//
// What always holds:
//
//   - Memory and disk in use never exceed the budgets. Outside the budgets are at most two pages for each
//     Buffer and one for each [Scratch]. Memory is counted in chunks, as it is allocated, disk in the size
//     of the files. A file counts for at least Disk/Files bytes, so that there are at most Files of them.
//   - The caller of NewBuffer or NewPipe owns the body and calls Close. When Close has returned, memory,
//     file and budget have been released, each exactly once, whatever happens in other goroutines. When a
//     body is cut ([ErrCut]), they are released before the other body gets the room.
//   - A body is cut at most once, and never a complete request. Its [Cutter] is called at most once, and not
//     after Close.
//   - Temporary files have mode 0600 and no name. On Linux they never have one, so that not even a killed
//     process leaves one behind.
//   - A failing disk loses no byte that was accepted. Write of a Pipe then waits as it does without budget;
//     a Buffer stays in memory while there is room, and then fails with [ErrDisk] or [ErrDiskFull]. A write
//     is tried again every second.
//   - A waiting Write of a Pipe passes its bytes directly to the reader, so that a Pipe without any budget
//     is as slow as its reader but never stuck.
//   - No lock is held during disk I/O.
//   - Chunks are reused across bodies. No byte is read that the present owner has not written. The slice of
//     [Buffer.Bytes] must not be used after Close.
package spool
