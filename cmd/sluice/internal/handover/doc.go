// Package handover is how a running sluice has another process take its place: it starts the program,
// gives it the listening sockets, and the two tell each other how far they are over a pair of connected
// sockets. It knows nothing of what is served.
//
//	former process               next process
//	Start, with the sockets ---> Inherit
//	                        <--- Ready: all is loaded and started, nothing is accepted
//	Go, and Held          -----> Begun
//	                        <--- Serving: it accepts
//	Main, Held, ...       -----> Next
//	Done, or the end      -----> Next ends
//
// What always holds:
//
//   - Until Serving, the former process goes on as before if the next one ends, and the next one ends if
//     the former does. From Serving on, neither needs the other.
//   - Once the next one was let begin, it serves or is gone within serveTimeout: nothing else ends that, or
//     clients that it has accepted would be lost.
//   - A socket is open in one of them at any time.
//   - Whoever dies, however, is noticed: the kernel closes its end.
package handover
