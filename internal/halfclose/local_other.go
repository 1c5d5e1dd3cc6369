//go:build !linux

package halfclose

import "net"

func isLocal(net.Conn) bool { return false }

func isPeerOpen(net.Conn) (open, found bool, err error) { return false, false, nil }
