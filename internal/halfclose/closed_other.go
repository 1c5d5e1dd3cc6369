//go:build !linux

package halfclose

const supported = false

func isClosed(uintptr) bool { return true }
