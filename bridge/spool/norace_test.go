//go:build !race

package spool

// pumpAllocates is how many bytes a pipe may allocate for any size of response.
const pumpAllocates = 4 << 20
