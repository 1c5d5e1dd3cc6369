//go:build !linux

package nested

import (
	"net"
	"syscall"
	"time"
)

func scanProcesses(requests []*Request, _ []uint64, _ []int) (depths, application []int) {
	return make([]int, len(requests)), nil
}

func threadTime() time.Duration { return 0 } // scans do nothing

func socketOf(syscall.RawConn, net.Addr, net.Addr) socket { return socket{} }
