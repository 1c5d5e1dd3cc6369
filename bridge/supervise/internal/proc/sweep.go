package proc

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/memlimit"
)

// sweep ends the children that killed processes of this program have left behind, and
// removes their directories. It touches only what is provably theirs.
func sweep(in string, log *slog.Logger) {
	entries, err := os.ReadDir(in)
	if err != nil {
		log.Warn("looking for what a killed process has left behind failed", "error", err.Error(), "advice", "look into the directory for temporary files")
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), runDirPrefix) {
			continue
		}
		path := filepath.Join(in, e.Name())
		if err := sweepOne(path, log); err != nil {
			log.Warn("removing what a killed process has left behind failed", "directory", path, "error", err.Error(), "advice", "remove the directory")
		}
	}
}

func sweepOne(path string, log *slog.Logger) error {
	if !isPrivate(path) {
		return nil // another user could have made it
	}
	lock, err := takeLock(filepath.Join(path, lockName), 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EWOULDBLOCK) {
		return nil // another program's, or its owner lives
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	ended, err := killRecorded(path)
	if err != nil {
		return err
	}
	log.Warn("a killed process had left this behind; it is removed", "directory", path, "processes", ended)
	return os.RemoveAll(path)
}

// killRecorded kills the children that are recorded in dir, with their groups, and returns
// how many processes those were.
func killRecorded(dir string) (ended int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if ok, err := filepath.Match(records, e.Name()); err != nil || !ok {
			continue
		}
		var r record
		if _, err := readRecord(filepath.Join(dir, e.Name()), &r); err != nil {
			return ended, err
		}
		n, err := killGroup(r)
		ended += n
		if err != nil {
			return ended, err
		}
	}
	var r cgroupRecord
	if found, err := readRecord(filepath.Join(dir, cgroupName), &r); err != nil || !found {
		return ended, err
	}
	return ended, memlimit.RemoveCgroup(r.Path)
}

// isPrivate reports whether path is a directory that this user owns, and no other can list or
// change. Another may pass through to the socket of Path that is made in it.
func isPrivate(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o066 != 0 {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Geteuid()
}
