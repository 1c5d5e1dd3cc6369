package halfclose

import (
	"net"
	"time"
)

// Verdict is what the end of a client's stream means.
type Verdict uint8

const (
	// HasLeft: the client has closed the connection.
	HasLeft Verdict = iota
	// Waits: it has closed its sending side only, and is to be answered. A reset tells when it
	// leaves.
	Waits
	// AskAgain: it waits, and the kernel tells if it is asked again: after FirstCheck, and then at
	// growing intervals up to MaxCheckInterval.
	AskAgain
)

// FirstCheck and MaxCheckInterval are when the kernel is asked again, and KeepAlive is for the
// connections of which only a reset can tell.
const (
	FirstCheck       = firstCheck
	MaxCheckInterval = maxCheckInterval
)

// KeepAlive is what a TCP connection is set to whose client Waits.
var KeepAlive = keepAlive

// Judge says what it means that the client has closed its sending side so long after its request, and
// has not closed both, as epoll and poll tell (EPOLLRDHUP without EPOLLHUP). c has the addresses.
func Judge(c net.Conn, after time.Duration) Verdict { return judge(c, after, false) }

func judge(c net.Conn, after time.Duration, remote bool) Verdict {
	if _, tcp := c.RemoteAddr().(*net.TCPAddr); !tcp {
		return Waits
	}
	if isLocal(c) && !remote {
		if open, found, err := isPeerOpen(c); found && err == nil {
			if open {
				return AskAgain
			}
			return HasLeft
		}
	}
	if after > Window {
		return HasLeft
	}
	return Waits
}

// HasPeer reports, after AskAgain, whether a process still has the client's end of the connection, as
// far as is known.
func HasPeer(c net.Conn) bool {
	open, _, err := isPeerOpen(c)
	return err != nil || open
}
