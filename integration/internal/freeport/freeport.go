// Package freeport finds ports for servers that cannot report the port they have chosen.
//
// A port that the kernel chose for a listener at 127.0.0.1:0 is not free after the listener is closed:
// another address of this machine may use it, and the kernel may give it to a connection or another
// listener.
package freeport

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
)

// least is the first port to try: many ports below are assigned to services.
const least = 10_000

// tries is how many ports are tried.
const tries = 1000

// Reserve returns an address of this machine whose port is free on all addresses, for TCP and UDP. The kernel
// does not choose the port for connections or for listeners at port 0, and Reserve does not return it again
// until it is released or this process ends.
func Reserve() (addr string, release func(), err error) {
	below, err := firstOfTheKernels()
	if err != nil {
		return "", nil, err
	}
	for range tries {
		port := least + rand.IntN(below-least)
		release, err := lock(port)
		if err != nil {
			continue // reserved by another process
		}
		if isFree(port) {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), release, nil
		}
		release()
	}
	return "", nil, fmt.Errorf("of %d ports from %d to %d none is free", tries, least, below-1)
}

// lock locks a port with an abstract unix socket, which vanishes with the process. On systems other than
// Linux it does nothing.
func lock(port int) (release func(), err error) {
	if runtime.GOOS != "linux" {
		return func() {}, nil
	}
	l, err := net.Listen("unix", fmt.Sprintf("@sluice-test-port-%d", port))
	if err != nil {
		return nil, err
	}
	return func() { _ = l.Close() }, nil
}

// firstOfTheKernels returns the first port that the kernel chooses by itself.
func firstOfTheKernels() (int, error) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if errors.Is(err, fs.ErrNotExist) {
		return 32_768, nil // other systems start there or higher
	}
	if err != nil {
		return 0, err
	}
	var first int
	if _, err := fmt.Sscan(string(text), &first); err != nil {
		return 0, err
	}
	if first <= least {
		return 0, errors.New("net.ipv4.ip_local_port_range leaves no ports for tests")
	}
	return first, nil
}

// isFree reports whether a port is free. Listening at the wildcard address fails if any address uses it.
func isFree(port int) bool {
	at := fmt.Sprintf(":%d", port)
	l, err := net.Listen("tcp", at)
	if err != nil {
		return false
	}
	defer l.Close()
	c, err := net.ListenPacket("udp", at)
	if err != nil {
		return false
	}
	return c.Close() == nil
}
