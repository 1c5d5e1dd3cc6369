package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// SocketMode is how a child gets its listening socket.
type SocketMode string

// The values of a SocketMode.
const (
	Stdin      SocketMode = "stdin"      // the child inherits it as file descriptor 0
	Activation SocketMode = "activation" // the child inherits it as sd_listen_fds(3) describes
	Port       SocketMode = "port"       // the child makes it, at a port that it is told
	Path       SocketMode = "path"       // the child makes it, at the path of a unix socket that it is told
)

// Inherited reports whether the child inherits the socket. If not, the child makes it.
func (m SocketMode) Inherited() bool { return m != Port && m != Path }

// What a child is told that makes its socket. In the arguments and the environment of the command,
// these words stand for where the socket is.
const (
	addressWord = "{address}" // host:port or unix:/path
	portWord    = "{port}"
	pathWord    = "{socket}"
	// portVariable has the port in the environment of a child with mode Port.
	portVariable = "PORT"
)

// tell returns a command that is told where its socket is.
func (s *Socket) tell(c *Command) *Command {
	if s.mode.Inherited() {
		return c
	}
	told, words := *c, s.words()
	told.Args, told.Env = replaceAll(c.Args, words), replaceAll(c.Env, words)
	if s.mode == Port {
		told.Env = append(slices.DeleteFunc(told.Env, isPort), words.Replace(portOf(c.Env)))
	}
	return &told
}

// portOf is PORT in an environment, as it is configured if it tells the port.
func portOf(env []string) string {
	if i := slices.IndexFunc(env, isPort); i >= 0 && strings.Contains(env[i], portWord) {
		return env[i]
	}
	return portVariable + "=" + portWord
}

func isPort(kv string) bool { return strings.HasPrefix(kv, portVariable+"=") }

func (s *Socket) words() *strings.Replacer {
	if s.mode == Path {
		return strings.NewReplacer(addressWord, s.Addr, pathWord, s.path)
	}
	_, port, _ := net.SplitHostPort(s.path)
	return strings.NewReplacer(addressWord, s.Addr, portWord, port)
}

func replaceAll(list []string, words *strings.Replacer) []string {
	replaced := make([]string, len(list))
	for i, text := range list {
		replaced[i] = words.Replace(text)
	}
	return replaced
}

// activationFD is the descriptor of a socket with mode Activation: SD_LISTEN_FDS_START.
const activationFD = 3

// give has a process inherit the socket.
func (s *Socket) give(cmd *exec.Cmd) {
	switch s.mode {
	case Activation:
		cmd.ExtraFiles = []*os.File{s.file} // activationFD
	case Port, Path:
		cmd.ExtraFiles = []*os.File{nil}
	default:
		cmd.Stdin, cmd.ExtraFiles = s.file, []*os.File{nil}
	}
}

// activate tells the command, which this process is about to execute, of its socket.
func activate() error {
	if _, err := unix.FcntlInt(activationFD, unix.F_SETFD, 0); err != nil { // see closeAllOnExec
		return fmt.Errorf("socket for the command: %w", err)
	}
	return errors.Join(os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())), os.Setenv("LISTEN_FDS", "1"))
}

// start starts a command without Command.Reexec. LISTEN_PID is the id of the new process, which
// only that process knows before it executes the command: a shell does what activate does.
func (s *Socket) start(cmd *exec.Cmd) error {
	if s.mode == Activation {
		cmd.Args = slices.Concat([]string{"sh", "-c", `export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"`, "sh", cmd.Path}, cmd.Args[1:])
		cmd.Path = "/bin/sh"
	}
	return cmd.Start()
}

// reservePath makes the directory in which a child makes its socket.
func reservePath(dir, name string) (*Socket, error) {
	path := filepath.Join(dir, name, "sock")
	// sun_path holds 108 bytes with its final zero on Linux, 104 on BSD and macOS.
	if len(path) > 103 {
		return nil, fmt.Errorf("socket for the command: %s is %d bytes, and the system takes at most 103 (is TMPDIR too long a path?)", path, len(path))
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("directory for the command's socket: %w", err)
	}
	return &Socket{Addr: "unix:" + path, mode: Path, name: name, network: "unix", path: path}, nil
}

// madeIn is the directory in which a child makes the socket; "" if it does not.
func (s *Socket) madeIn() string {
	if s.mode != Path {
		return ""
	}
	return filepath.Dir(s.path)
}

// prepare makes the socket ready for the next child. With Path that child makes it: as that
// account, in place of the socket that the child before has left.
func (s *Socket) prepare(account *Account) error {
	var err error
	switch s.mode {
	case Port:
		return nil
	case Path:
		if err = os.Remove(s.path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if dir := s.madeIn(); account != nil && err == nil {
			// The directory around it is this user's own; others may only pass through.
			err = errors.Join(os.Chown(dir, account.UID, account.GID), os.Chmod(filepath.Dir(dir), 0o711))
		}
	default:
		// Programs that were written for a socket of their own expect accept to wait.
		err = syscall.SetNonblock(int(s.file.Fd()), false)
	}
	if err != nil {
		return fmt.Errorf("socket for the command: %w", err)
	}
	return nil
}
