package main

import (
	"os"
	"syscall"
)

// upgradeSignals have another process take over: SIGRTMIN+1, as programs with a C library count, which has
// the first two for itself. The signals with names are taken, or come by themselves, as SIGWINCH does.
var upgradeSignals = []os.Signal{syscall.Signal(35)}
