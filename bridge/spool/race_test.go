//go:build race

package spool

// pumpAllocates is how many bytes a pipe may allocate for 256 MiB. The race detector
// has sync.Pool lose a part of what it is given, so here it is more the more goes
// through.
const pumpAllocates = 32 << 20
