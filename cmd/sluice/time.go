package main

import "time"

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
