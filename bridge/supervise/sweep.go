package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// sweep ends what killed processes of ours have left behind, and removes their
// directories. Only what is provably ours is touched.
func sweep(in string, log *slog.Logger) {
	entries, err := os.ReadDir(in)
	if err != nil {
		log.Warn("looking for what a killed process has left behind failed", "error", err.Error())
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), runDirPrefix) {
			continue
		}
		path := filepath.Join(in, e.Name())
		if err := sweepOne(path, log); err != nil {
			log.Warn("removing what a killed process has left behind failed", "directory", path, "error", err.Error())
		}
	}
}

func sweepOne(path string, log *slog.Logger) error {
	if !isPrivate(path) {
		return nil // anybody could have put it there
	}
	lock, err := takeLock(filepath.Join(path, lockName), 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EWOULDBLOCK) {
		return nil // not one of ours, or its owner lives
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	text, err := os.ReadFile(filepath.Join(path, recordName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // nothing was started
		return err
	}
	ended := 0
	if err == nil {
		var r record
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("%s: %w", recordName, err)
		}
		if ended, err = endGroup(r); err != nil {
			return err
		}
	}
	log.Warn("a killed process had left this behind; it is removed", "directory", path, "processes", ended)
	return os.RemoveAll(path)
}

// isPrivate reports whether path is a directory of this user's that nobody else can
// write to.
func isPrivate(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Geteuid()
}
