package lastcall

import "golang.org/x/sys/unix"

// refuseSYN has a TCP socket drop the first packet of a connection, and reports whether it does. The
// program (bpf(4), in its classic form) sees the TCP header, whose byte 13 has the flags. Clients send
// the packet again after a second, and are refused then. Sockets of multipath TCP take no program.
func refuseSYN(fd int) bool {
	const syn, ack = 0x02, 0x10
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}) == nil
}
