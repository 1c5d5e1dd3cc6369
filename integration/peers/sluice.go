package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
)

// sluice is Sluice from this tree, with room for the given number of requests
// in the application. With fewer workers than connections, requests queue.
func sluice(workers int) peer {
	return serve(fmt.Sprintf("sluice-%d", workers), "built from this tree", workers, func(socket string) string { return "unix:" + socket })
}

// sluiceMux has requests share connections from the first on.
var sluiceMux = serve("sluice-mux", "requests share connections", 512, func(socket string) string { return "unix:" + socket }, "--multiplex", "on")

// withFronts puts in place of each sluice serve one for each value of its flag --front.
func withFronts(list []peer, fronts []string) (out []peer) {
	for _, p := range list {
		if !p.fronts {
			out = append(out, p)
			continue
		}
		for _, front := range fronts {
			out = append(out, p.withFront(front))
		}
	}
	return out
}

func (p peer) withFront(front string) peer {
	binary, argv := p.binary, p.argv
	p.label, p.about = p.label+"-"+front, p.about+", `--front "+front+"`"
	p.binary = func(ctx context.Context, dir string) (string, error) {
		program, err := binary(ctx, dir)
		if err != nil {
			return "", err
		}
		help, err := exec.CommandContext(ctx, program, "serve", "--help").CombinedOutput()
		if err != nil || !bytes.Contains(help, []byte("--front ")) {
			return "", fmt.Errorf("sluice serve has no flag --front (%w)", errMissing)
		}
		return program, nil
	}
	p.argv = func(s site) []string { return append(argv(s), "--front", front) }
	return p
}

// sluiceHTTP is Sluice in front of an application that speaks HTTP.
var sluiceHTTP = serve("sluice-http", "the application speaks HTTP", 64, func(socket string) string { return "http+unix:" + overHTTP(socket) })

// serve is sluice serve with so many workers and a backend at the address of a socket.
func serve(label, about string, workers int, address func(socket string) string, more ...string) peer {
	return peer{
		label: label,
		about: fmt.Sprintf("`sluice serve --workers %d --access-log off`, %s", workers, about),
		binary: func(ctx context.Context, dir string) (string, error) {
			return goBuild(ctx, "github.com/sluice-proxy/sluice/cmd/sluice", filepath.Join(dir, "sluice"), "-pgo=cmd/sluice/sluice.pgo") // as make build does
		},
		version: []string{"version"},
		fronts:  true,
		argv: func(s site) []string {
			return append([]string{
				"serve",
				"--listen", s.listen,
				"--status", s.status,
				"--backend", address(s.backend),
				"--workers", strconv.Itoa(s.workersOr(workers)),
				"--long-poll", "/hold/*",
				"--queue-long-size", "20000",
				"--queue-long-timeout", "2m",
				"--queue-size", "2000",
				"--access-log", "off",
			}, more...)
		},
	}
}
