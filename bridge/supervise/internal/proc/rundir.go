package proc

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

const (
	runDirPrefix = "sluice-"
	lockName     = "lock"
	cgroupName   = "cgroup.json" // if there is one

	// Each child is recorded in a file: recordPrefix, the name of its socket, recordSuffix.
	records      = "running*.json"
	recordPrefix = "running-"
	recordSuffix = ".json"

	// tokenName is the variable that marks a child and its descendants.
	tokenName = "SLUICE_SPAWN"
)

// runDir is the private directory of a Launcher: its sockets, the records of its children,
// and a lock that is held as long as this process lives, however it ends. A process that
// can take the lock knows that the owner is dead, in whatever container that ran.
type runDir struct {
	path  string
	lock  *os.File
	token string // in the environment of each child
}

// record is what is needed to find a child after this process was killed, with its group.
type record struct {
	Token string `json:"token"`
	Boot  string `json:"boot"`  // PID and Start are valid until the next boot
	PID   int    `json:"pid"`   // of the child, which leads a group and a session
	Start uint64 `json:"start"` // of the process, in ticks since the boot
}

func newRunDir(in string) (_ *runDir, err error) {
	d := &runDir{token: rand.Text()}
	if d.path, err = os.MkdirTemp(in, runDirPrefix); err != nil { // mode 0700
		return nil, fmt.Errorf("directory for the command's socket: %w", err)
	}
	defer func() {
		if err != nil {
			_ = d.remove() // err is what matters
		}
	}()
	// The lock gets its name when it is taken: before, no other process takes it for a dead one's.
	path := filepath.Join(d.path, lockName)
	if d.lock, err = takeLock(path+".new", os.O_CREATE|os.O_EXCL); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock for the command's directory: %w", err)
	}
	return d, nil
}

// takeLock opens a file and locks it. It fails with syscall.EWOULDBLOCK if its owner lives.
func takeLock(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// record records the child that a socket has now.
func (d *runDir) record(socket string, pid int) error {
	r := record{Token: d.token, PID: pid}
	var err error
	if r.Boot, r.Start, err = session.Identity(pid); err != nil {
		return err
	}
	return writeRecord(d.recordPath(socket), r)
}

// removeRecord removes the record of a socket that is closed.
func (d *runDir) removeRecord(socket string) error {
	err := os.Remove(d.recordPath(socket))
	if errors.Is(err, fs.ErrNotExist) { // no child was started
		return nil
	}
	return err
}

func (d *runDir) recordPath(socket string) string {
	return filepath.Join(d.path, recordPrefix+socket+recordSuffix)
}

// cgroupRecord is what is needed to find the cgroup of all children.
type cgroupRecord struct {
	Path string `json:"path"`
}

// recordCgroup records the cgroup that all children are in.
func (d *runDir) recordCgroup(path string) error {
	return writeRecord(filepath.Join(d.path, cgroupName), cgroupRecord{path})
}

func writeRecord(path string, r any) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path) // so that there is never half a record
}

// readRecord reads a record, and reports whether there is one.
func readRecord(path string, r any) (bool, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(text, r); err != nil {
		return false, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return true, nil
}

// abandon leaves the directory to the next start, which ends what is recorded in it.
func (d *runDir) abandon() { _ = d.lock.Close() }

// remove removes the directory, and releases the lock last.
func (d *runDir) remove() error {
	err := os.RemoveAll(d.path)
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}
