package memlimit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/session"
)

const (
	subtreeControl = "cgroup.subtree_control"
	memoryMax      = "memory.max"
	memoryCurrent  = "memory.current"
)

// cgroup is the directory of a control group.
type cgroup string

func (c cgroup) child(name string) cgroup { return cgroup(filepath.Join(string(c), name)) }
func (c cgroup) file(name string) string  { return filepath.Join(string(c), name) }

func (c cgroup) make() error { return os.Mkdir(string(c), 0o755) }

func (c cgroup) has(file string) bool {
	_, err := os.Stat(c.file(file))
	return err == nil
}

func (c cgroup) write(file, text string) error {
	f, err := os.OpenFile(c.file(file), os.O_WRONLY, 0) // the file exists: the kernel has made it
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// writeIfThere ignores that this kernel, or its configuration, does not have the file.
func (c cgroup) writeIfThere(file, text string) error {
	err := c.write(file, text)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (c cgroup) number(file string) (uint64, error) {
	text, err := os.ReadFile(c.file(file))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.file(file), err)
	}
	return n, nil
}

// keyed reads the number of a key in a file of lines "key number".
func (c cgroup) keyed(file, key string) (uint64, error) {
	text, err := os.ReadFile(c.file(file))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if k, v, _ := strings.Cut(strings.TrimSpace(line), " "); k == key {
			return strconv.ParseUint(v, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s: it has no %s", c.file(file), key)
}

// hasWord reports whether a file that is a list of words has a word.
func (c cgroup) hasWord(file, word string) (bool, error) {
	text, err := os.ReadFile(c.file(file))
	if err != nil {
		return false, err
	}
	for w := range strings.FieldsSeq(string(text)) {
		if w == word {
			return true, nil
		}
	}
	return false, nil
}

// processes are the processes in c itself.
func (c cgroup) processes() ([]int, error) {
	text, err := os.ReadFile(c.file("cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil, nil // c is gone
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.file("cgroup.procs"), err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// children are the cgroups in c.
func (c cgroup) children() ([]cgroup, error) {
	entries, err := os.ReadDir(string(c))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []cgroup
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, c.child(e.Name()))
		}
	}
	return all, nil
}

// tree is the processes in c and in all cgroups below it: children may make cgroups.
func (c cgroup) tree() ([]int, error) {
	pids, err := c.processes()
	if err != nil {
		return nil, err
	}
	below, err := c.children()
	if err != nil {
		return nil, err
	}
	for _, b := range below {
		more, err := b.tree()
		if err != nil {
			return nil, err
		}
		pids = append(pids, more...)
	}
	return pids, nil
}

// kill kills all processes in c and below it, and waits for their ends.
func (c cgroup) kill() error {
	// cgroup.kill (Linux 5.14) misses no process that forks, and may kill processes of other
	// users. Where it is missing, and to wait, each process is killed by itself.
	if err := c.writeIfThere("cgroup.kill", "1"); err != nil && !errors.Is(err, syscall.ENODEV) {
		return err
	}
	return session.KillAll(c.tree)
}

// remove removes c and the cgroups below it, all of them without processes.
func (c cgroup) remove() error {
	below, err := c.children()
	if err != nil {
		return err
	}
	for _, b := range below {
		if err := b.remove(); err != nil {
			return err
		}
	}
	err = syscall.Rmdir(string(c))
	for n := 0; errors.Is(err, syscall.EBUSY) && c.isEmpty() && n < removeTries; n++ {
		// A process that was reaped may be in the cgroup for a moment. There is no event for
		// its end.
		time.Sleep(time.Millisecond)
		err = syscall.Rmdir(string(c))
	}
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return &fs.PathError{Op: "rmdir", Path: string(c), Err: err}
	}
	return nil
}

// removeTries bounds how often a cgroup without processes may be reported as busy.
const removeTries = 100

func (c cgroup) isEmpty() bool {
	pids, err := c.processes()
	return err == nil && len(pids) == 0
}

func (c cgroup) enter(pid int) error { return c.write("cgroup.procs", strconv.Itoa(pid)) }

// bound limits the memory of c, and has it use no swap.
func (c cgroup) bound(limit uint64) error {
	if limit == 0 {
		return nil
	}
	if err := c.write(memoryMax, strconv.FormatUint(limit, 10)); err != nil {
		return err
	}
	return c.writeIfThere("memory.swap.max", "0")
}

// used is what c uses, without pages of files that were not used lately.
func (c cgroup) used() (uint64, error) {
	usage, err := c.number(memoryCurrent)
	if err != nil {
		return 0, err
	}
	inactive, err := c.keyed("memory.stat", "inactive_file")
	if err != nil {
		return 0, err
	}
	return usage - min(usage, inactive), nil // the two are not read at the same time
}
