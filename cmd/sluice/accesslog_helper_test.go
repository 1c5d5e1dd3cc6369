package main

import (
	"io"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// newAccessLog returns a log that writes to w.
func newAccessLog(w io.Writer, format config.AccessFormat) *accessLog {
	a := new(accessLog)
	a.lines.Store(newAccessLines(w, format))
	return a
}
