package spool

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// Defaults of Config.
const (
	DefaultBuffer = 256 << 10
	DefaultMemory = 64 << 20
	DefaultDisk   = 4 << 30
)

// Config says where a Store keeps bodies, and how much it may hold. Zero values select the defaults.
type Config struct {
	// Dir is the directory of the temporary files; os.TempDir() by default. It should not be on a
	// tmpfs, whose files are in memory.
	Dir string
	// Buffer is how many bytes of memory one body may hold before it is written to disk;
	// DefaultBuffer by default. A request body may hold more while nothing can be written to disk.
	Buffer int
	// Memory is how many bytes of memory all bodies together may hold, without the first 4 KiB of
	// each request body. Further bytes are written to disk at once. DefaultMemory by default.
	Memory int64
	// Disk is how many bytes all temporary files together may hold; DefaultDisk by default. If the
	// file system has less room, they may hold seven eighths of that.
	Disk int64
	// Files is how many temporary files may exist at once. To enforce it, each file counts for at least
	// Disk/Files bytes. The default is DefaultFiles, and no more than a quarter of the descriptors for
	// all Stores of the process with the default together.
	Files int
	// Logger logs when files cannot be written, and when a body is cut. Default: none.
	Logger *slog.Logger
}

// DefaultFiles is the default of Config.Files for a process that may have so many descriptors: a
// sixteenth of these, but 1,024 at least if that is no more than a quarter of them.
func DefaultFiles(descriptors int) int {
	return max(descriptors/16, min(1024, descriptors/4), 1)
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
		c.Files = DefaultFiles(descriptors())
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
