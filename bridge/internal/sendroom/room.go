package sendroom

import (
	"net"
	"syscall"
)

// Room tells whether a connection takes some bytes at once. It is for one goroutine at a time.
type Room interface {
	// Takes reports whether n bytes can be written without waiting, beside those that it was asked
	// about before. Whoever asks writes them if so.
	Takes(n int) bool
}

// Of returns the Room of c itself, if it is one, or of the socket below c, which may be wrapped as
// tls.Conn wraps a connection; nil if there is none, or the kernel does not tell.
func Of(c net.Conn) Room {
	for {
		if r, ok := c.(Room); ok {
			return r
		}
		if sc, ok := c.(syscall.Conn); ok {
			raw, err := sc.SyscallConn()
			if err != nil {
				return nil // it is closed
			}
			return ofSocket(raw)
		}
		outer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = outer.NetConn()
	}
}
