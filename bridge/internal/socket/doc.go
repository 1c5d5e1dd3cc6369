// Package socket connects to applications, and reads and writes sockets without waiting. Begin with
// dial.go.
//
// On Linux, [Dial] returns a [Conn]: a socket that Go's network poller learns of only when somebody has
// to wait for it. An event loop, which has an epoll of its own, never does; a socket that both watch
// would wake both for every answer. [Read], [Write] and the others are the system calls alone: for a descriptor
// that does not block, the scheduler need not be told that a thread may be away for long. Telling it
// costs a request more than its own system calls, mostly because the runtime's monitor then looks every
// 20 us whether somebody else needs the processor.
//
// On other systems Dial is that of package net, and the calls are those of package syscall.
package socket
