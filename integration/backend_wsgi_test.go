//go:build linux

package integration

import "testing"

func TestWSGI(t *testing.T) {
	p, addr := startOnSocket(t, python(t, "wsgi.py", "--threads", "4"))
	conform(t, backend{addr: addr, workers: 4, process: p})
}
