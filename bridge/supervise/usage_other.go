//go:build unix && !linux

package supervise

func usage(int) *Usage { return nil }
