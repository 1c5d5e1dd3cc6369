package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// sluice is Sluice from this tree, with room for the given number of requests
// in the application. With fewer workers than connections, requests queue.
func sluice(workers int) peer {
	return serve(fmt.Sprintf("sluice-%d", workers), "built from this tree", workers, func(socket string) string { return "unix:" + socket })
}

// sluiceHTTP is Sluice in front of an application that speaks HTTP.
var sluiceHTTP = serve("sluice-http", "the application speaks HTTP", 64, func(socket string) string { return "http+unix:" + overHTTP(socket) })

// serve is sluice serve with so many workers and a backend at the address of a socket.
func serve(label, about string, workers int, address func(socket string) string) peer {
	return peer{
		label: label,
		about: fmt.Sprintf("`sluice serve --workers %d --access-log off`, %s", workers, about),
		binary: func(ctx context.Context, dir string) (string, error) {
			return goBuild(ctx, "github.com/sluice-proxy/sluice/cmd/sluice", filepath.Join(dir, "sluice"))
		},
		version: []string{"version"},
		argv: func(s site) []string {
			return []string{
				"serve",
				"--listen", s.listen,
				"--status", s.status,
				"--backend", address(s.backend),
				"--workers", strconv.Itoa(workers),
				"--long-poll", "/hold/*",
				"--queue-long-size", "20000",
				"--queue-long-timeout", "2m",
				"--access-log", "off",
			}
		},
	}
}
