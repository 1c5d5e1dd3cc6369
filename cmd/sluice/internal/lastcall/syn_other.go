//go:build !linux

package lastcall

func refuseSYN(int) bool { return false }
