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
	return peer{
		label: fmt.Sprintf("sluice-%d", workers),
		about: fmt.Sprintf("`sluice serve --workers %d --access-log off`, built from this tree", workers),
		binary: func(ctx context.Context, dir string) (string, error) {
			return goBuild(ctx, "github.com/sluice-proxy/sluice/cmd/sluice", filepath.Join(dir, "sluice"))
		},
		version: []string{"version"},
		argv: func(s site) []string {
			return []string{
				"serve",
				"--listen", s.listen,
				"--status", s.status,
				"--backend", "unix:" + s.backend,
				"--workers", strconv.Itoa(workers),
				"--long-poll", "/hold/*",
				"--queue-long-size", "20000",
				"--queue-long-timeout", "2m",
				"--access-log", "off",
			}
		},
	}
}
