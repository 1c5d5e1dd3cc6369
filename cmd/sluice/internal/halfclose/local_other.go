//go:build !linux

package halfclose

import "net"

func isLocal(net.Conn) bool { return false }

func isHeld(net.Conn) (held, found bool, err error) { return false, false, nil }
