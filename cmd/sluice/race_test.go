//go:build race

package main

// reloadAllocates is how many KiB a reload of 100 sites that have not changed may allocate. The race
// detector allocates as well: it was 8800.
const reloadAllocates = 11_000
