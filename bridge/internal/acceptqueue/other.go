//go:build !linux

package acceptqueue

func of(string, string) (Queue, error) { return Queue{}, ErrUnsupported }
