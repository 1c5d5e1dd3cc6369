package spool

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// What a zero Config means.
const (
	DefaultBuffer = 256 << 10
	DefaultMemory = 64 << 20
	DefaultDisk   = 4 << 30
)

// Config says where and how much a Store may hold. Zero values mean the defaults.
type Config struct {
	// Dir is the directory of the temporary files; os.TempDir() by default. Where
	// that is a tmpfs, what goes to disk is in memory after all: name another one.
	Dir string
	// Buffer is how many bytes one body may hold in memory before it goes to
	// disk; DefaultBuffer by default. A request body may hold more while nothing can
	// be written to disk.
	Buffer int
	// Memory is how many bytes all bodies together may hold in memory, beside the
	// first 4 KiB of each request body. What is beyond it goes to disk at once.
	// DefaultMemory by default.
	Memory int64
	// Disk is how many bytes all temporary files together may hold; DefaultDisk
	// by default. If the file system has less room, that is what they may hold, but for
	// an eighth.
	Disk int64
	// Files is how many temporary files there may be at once; by default a quarter
	// of the descriptors that the process may have. It is kept by each file counting
	// for at least Disk/Files bytes.
	Files int
	// Logger is told when files cannot be written, and when a body is given up for
	// others. Default: nobody is.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	for _, v := range []struct {
		key   string
		value int64
	}{{"Buffer", int64(c.Buffer)}, {"Memory", c.Memory}, {"Disk", c.Disk}} {
		if v.value < 0 {
			return c, fmt.Errorf("spool: %s is %d bytes, want 0 (the default) or more", v.key, v.value)
		}
	}
	if c.Files < 0 {
		return c, fmt.Errorf("spool: Files is %d, want 0 (the default) or more", c.Files)
	}
	if c.Dir == "" {
		c.Dir = os.TempDir()
	}
	// The working directory may change while the store is in use.
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return c, fmt.Errorf("spool: Dir %s: %w", c.Dir, err)
	}
	c.Dir = dir
	if c.Buffer == 0 {
		c.Buffer = DefaultBuffer
	}
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.Disk == 0 {
		c.Disk = DefaultDisk
	}
	if c.Files == 0 {
		c.Files = max(descriptors()/4, 1)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
