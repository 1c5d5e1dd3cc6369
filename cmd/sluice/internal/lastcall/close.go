package lastcall

import (
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How long clients may take that are about to connect, and those that wait, to be accepted.
const (
	handshake = 50 * time.Millisecond
	patience  = time.Second
	look      = 2 * time.Millisecond
)

// Close closes sockets of which other descriptors are accepted from meanwhile, and which nobody else
// uses. It removes the files of unix sockets.
func Close(list ...net.Listener) {
	var all sync.WaitGroup
	for _, l := range list {
		all.Go(func() {
			turnAway(l)
			awaitEmpty(l)
			_ = l.Close() // nothing waits there
		})
	}
	all.Wait()
}

// turnAway keeps clients from connecting.
func turnAway(l net.Listener) {
	if u, ok := l.(*net.UnixListener); ok {
		if path := u.Addr().String(); !strings.HasPrefix(path, "@") {
			_ = os.Remove(path)       // if it cannot be removed, neither can it later
			u.SetUnlinkOnClose(false) // by then, the path may be another's
		}
		return
	}
	if control(l, refuseSYN) {
		time.Sleep(handshake)
	}
}

// awaitEmpty waits until nothing waits to be accepted.
func awaitEmpty(l net.Listener) {
	for end := time.Now().Add(patience); time.Now().Before(end) && control(l, hasWaiting); {
		time.Sleep(look)
	}
}

func hasWaiting(fd int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}

// control returns what f does of a socket's descriptor.
func control(l net.Listener, f func(fd int) bool) (result bool) {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	return err == nil && raw.Control(func(fd uintptr) { result = f(int(fd)) }) == nil && result
}
