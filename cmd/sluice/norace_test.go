//go:build !race

package main

// reloadAllocates is how many KiB a reload of 100 sites that have not changed may allocate. It was 1600.
const reloadAllocates = 2500
