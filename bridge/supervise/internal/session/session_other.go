//go:build unix && !linux

package session

// UsageOf is not known here.
func UsageOf(int) *Usage { return nil }

// Identity is not known here: no process is killed by a record.
func Identity(int) (boot string, start uint64, err error) { return "", 0, nil }
