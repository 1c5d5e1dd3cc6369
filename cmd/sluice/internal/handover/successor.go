package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// variable tells the next process its descriptor.
const variable = "SLUICE_HANDOVER"

// Successor is the next process, as the former sees it. It is ended by Abort until Serve has succeeded;
// then by Release.
type Successor struct {
	*link
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has exited
	exit  error
}

// Start runs a program that calls Inherit, and gives it the sockets, whose files stay the caller's.
func Start(program string, args, env []string, sockets []Socket) (_ *Successor, err error) {
	pair, err := newPair()
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "the end of the next process")
	defer theirs.Close()
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return nil, errors.Join(err, unix.Close(pair[0]))
	}
	l, err := newLink(os.NewFile(uintptr(pair[0]), "the next process"))
	if err != nil {
		return nil, err
	}
	s := &Successor{link: l, cmd: exec.Command(program), ended: make(chan struct{})}
	s.cmd.Args = args
	s.cmd.Env = append(env, variable+"=3")
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	s.cmd.ExtraFiles = []*os.File{theirs}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, l.conn.Close())
	}
	go func() {
		defer close(s.ended)
		s.exit = s.cmd.Wait()
	}()
	for _, socket := range sockets {
		if err := s.send(message{Kind: socketKind, Socket: &socket}, socket.File); err != nil {
			return nil, s.abandon(err)
		}
	}
	if err := s.send(message{Kind: startKind}, nil); err != nil {
		return nil, s.abandon(err)
	}
	return s, nil
}

// newPair returns two connected sockets, of which only one is inherited by a process that Start starts.
// Not all systems have them.
func newPair() (pair [2]int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if pair, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0); err != nil {
		return pair, os.NewSyscallError("socketpair", err)
	}
	unix.CloseOnExec(pair[0])
	unix.CloseOnExec(pair[1])
	return pair, nil
}

// PID is the id of the process.
func (s *Successor) PID() int { return s.cmd.Process.Pid }

// Ready waits until the process could serve. If ctx ends before, or the process, or it says that it
// cannot, it is aborted.
func (s *Successor) Ready(ctx context.Context) error {
	if err := s.await(ctx, readyKind); err != nil {
		return s.abandon(err)
	}
	return nil
}

// serveTimeout is how long a process that is ready may take to serve. It does nothing else meanwhile.
const serveTimeout = 10 * time.Second

// Serve has the process serve, and waits until it does. The former process still may have held. If it
// fails, the process is gone. Nobody can call that off, because the process may serve already, and its
// clients would be lost; one that hangs is killed.
func (s *Successor) Serve(held Held) error {
	late := fmt.Errorf("the new process was ready, and then did not serve within %v", serveTimeout)
	ctx, cancel := context.WithTimeoutCause(context.Background(), serveTimeout, late)
	defer cancel()
	err := s.send(message{Kind: goKind, Held: held}, nil)
	if err == nil {
		err = s.await(ctx, servingKind)
	}
	if err != nil {
		if !errors.Is(err, errGone) {
			_ = s.cmd.Process.Kill() // left alone, it would serve later; it may have ended just now
		}
		return s.abandon(err)
	}
	return nil
}

// Terminate asks the process to end, as SIGTERM does.
func (s *Successor) Terminate() { _ = s.cmd.Process.Signal(syscall.SIGTERM) } // it may have ended

// await waits for a message.
func (s *Successor) await(ctx context.Context, want kind) error {
	defer context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) })() // its error is that of receive
	m, err := s.receive()
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled):
		return errors.New("it was called off before the new process was ready")
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return errGone
	case err != nil:
		return err
	case m.Kind == failedKind:
		return errors.New(m.Text)
	case m.Kind != want:
		return fmt.Errorf("the new process says %q where %q was expected", m.Kind, want)
	}
	return nil
}

var errGone = errors.New("gone")

// abandon aborts the process because of err, and returns err or what says more.
func (s *Successor) abandon(err error) error {
	s.Abort()
	var exit *exec.ExitError
	if !errors.Is(err, errGone) {
		return err
	}
	if errors.As(s.exit, &exit) {
		return fmt.Errorf("the new process (%s) has ended before it was ready: %s; its log says why", s.cmd.Path, exit)
	}
	return fmt.Errorf("the new process (%s) has ended before it was ready, without an error", s.cmd.Path)
}

// abortTimeout is how long the process may take to end what it has started. The rest is done by the
// kernel.
const abortTimeout = 10 * time.Second

// Abort ends the process and waits for that.
func (s *Successor) Abort() {
	_ = s.conn.Close() // which tells the process
	t := time.NewTimer(abortTimeout)
	defer t.Stop()
	select {
	case <-s.ended:
	case <-t.C:
		_ = s.cmd.Process.Kill() // its applications get SIGTERM from the kernel
		<-s.ended
	}
}

// Main tells that systemd knows the process as the service's.
func (s *Successor) Main() error { return s.send(message{Kind: mainKind}, nil) }

// Tell tells what the former process still may have.
func (s *Successor) Tell(held Held) error { return s.send(message{Kind: heldKind, Held: held}, nil) }

// Done tells that the former process has nothing any more, and releases the Successor.
func (s *Successor) Done() {
	_ = s.send(message{Kind: doneKind}, nil) // it may be gone
	_ = s.conn.Close()
}
