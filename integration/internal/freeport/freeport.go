// Package freeport finds ports for servers that cannot be asked which one they have got.
//
// A port that the kernel chose for a listener at 127.0.0.1:0, closed again, is none: another
// address of this machine may have it, a connection that begins in the meantime may get it,
// and so may the next who asks.
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

// least is the first port that is looked at: those below have names.
const least = 10_000

// tries is how many ports are looked at.
const tries = 1000

// Reserve returns an address of this machine at whose port nothing is, TCP or UDP, on any
// address. Nobody is given it by chance, for it is none of those that the kernel takes for
// connections and for listeners at port 0, nor by Reserve until it is released, or this
// process ends.
func Reserve() (addr string, release func(), err error) {
	below, err := firstOfTheKernels()
	if err != nil {
		return "", nil, err
	}
	for range tries {
		port := least + rand.IntN(below-least)
		release, err := lock(port)
		if err != nil {
			continue // somebody else's
		}
		if isFree(port) {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), release, nil
		}
		release()
	}
	return "", nil, fmt.Errorf("of %d ports from %d to %d none is free", tries, least, below-1)
}

// lock locks a port. Other systems than Linux have no sockets with names that end with
// their process: there it is not locked.
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

// firstOfTheKernels is the first port that the kernel gives to who does not name one.
func firstOfTheKernels() (int, error) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if errors.Is(err, fs.ErrNotExist) {
		return 32_768, nil // other systems begin there, or later
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

// isFree reports whether nothing is at a port. A listener at the wildcard address gets it
// only if no other address has it.
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
