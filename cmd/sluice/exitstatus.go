package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

// exitStatus writes the error of a command to stderr, and returns the exit status.
func exitStatus(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	var failed *runError
	var status *statusError
	isStatus := errors.As(err, &status)
	problems, inFile := errors.AsType[tomlfile.Problems](err)
	switch {
	case inFile: // for editors, which look for a file at the beginning of lines
		fmt.Fprintln(stderr, problems)
	case !isStatus || status.err != nil:
		fmt.Fprintf(stderr, "sluice: %v\n", err)
	}
	switch {
	case isStatus:
		return status.exit
	case errors.As(err, &failed):
		return 1
	}
	return 2
}
