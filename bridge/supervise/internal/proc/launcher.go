package proc

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/memlimit"
)

// Launcher starts children, and has what they share: the directory of their sockets and
// records, the log of their output, and the limits of their memory.
type Launcher struct {
	log     *slog.Logger
	dir     *runDir
	memory  memlimit.Controller
	output  *output
	started int // children, in Child.Launch alone
}

// NewLauncher returns a Launcher whose directory is below tempDir. Before, it ends what
// killed processes of this program have left there. name is the command's, for the log,
// which must not block.
func NewLauncher(tempDir, name string, limits memlimit.Limits, log *slog.Logger) (*Launcher, error) {
	sweep(tempDir, log)
	dir, err := newRunDir(tempDir)
	if err != nil {
		return nil, err
	}
	l := &Launcher{log: log, dir: dir, output: newOutput(log, name)}
	if l.memory, err = memlimit.New(limits, dir.recordCgroup, log); err != nil {
		l.removeDir()
		return nil, err
	}
	return l, nil
}

// Memory controls the memory of all children.
func (l *Launcher) Memory() memlimit.Controller { return l.memory }

// NewSocket makes a socket. No two sockets that are open have the same number.
func (l *Launcher) NewSocket(cfg SocketConfig, number int) (*Socket, error) {
	return newSocket(cfg, l.dir.path, fmt.Sprintf("app-%d", number))
}

// CloseSocket closes a socket whose children have ended, and removes their record.
func (l *Launcher) CloseSocket(s *Socket) {
	if err := errors.Join(s.close(), l.dir.removeRecord(s.name)); err != nil {
		l.log.Error("closing a socket failed", "instance", s.Addr, "error", err.Error(), "advice", "none: it is gone with this process")
	}
}

// Close releases what the children shared, when they have ended and their sockets are
// closed. If abandon is set some have not ended although they were killed: the directory
// stays, and the next NewLauncher ends what is recorded in it.
func (l *Launcher) Close(abandon bool) {
	l.output.close()
	if abandon {
		l.dir.abandon()
		return
	}
	if err := l.memory.Close(); err != nil {
		l.log.Error("removing the memory limits failed", "error", err.Error(), "advice", "remove the empty cgroup")
	}
	l.removeDir()
}

func (l *Launcher) removeDir() {
	if err := l.dir.remove(); err != nil {
		l.log.Error("removing the command's directory failed", "error", err.Error(), "advice", "remove the directory")
	}
}
