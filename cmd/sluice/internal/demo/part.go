package demo

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"time"
)

// reportEvery is how often a part reports.
const reportEvery = 50 * time.Millisecond

// process is a copy of this program that plays a part, the application or a gate.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has
	err   error         // why; from then on
}

// startPart starts a part, which serves at the socket that l listens at. The caller closes l.
func startPart(l interface{ File() (*os.File, error) }, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	socket, err := l.File()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	p := &process{cmd: exec.Command(self, append([]string{"demo"}, args...)...), ended: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stderr = socket, os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		if p.err = p.cmd.Wait(); p.err == nil {
			p.err = fmt.Errorf("%v", p.cmd.ProcessState)
		}
	}()
	return p, nil
}

// kill ends the process at once, and waits for that.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // or it has ended
	<-p.ended
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// enter is how a part begins: it returns the socket to serve at, which is the standard input, and the
// connection to the parent.
func enter(control string) (net.Listener, net.Conn, error) {
	l, err := net.FileListener(os.Stdin)
	if err != nil {
		return nil, nil, fmt.Errorf("the parts of the demonstration are started by sluice demo alone: %w", err)
	}
	parent, err := net.Dial("unix", control)
	if err != nil {
		return nil, nil, err
	}
	signal.Ignore(os.Interrupt) // Ctrl-C is for the parent, with which this ends
	return l, parent, nil
}

// report tells the parent the state again and again, until the parent ends.
func report[R any](parent net.Conn, state func() R) {
	for enc := json.NewEncoder(parent); enc.Encode(state()) == nil; time.Sleep(reportEvery) {
	}
}
