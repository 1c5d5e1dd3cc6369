//go:build !linux

package main

import "os"

var upgradeSignals []os.Signal // there is none to spare
