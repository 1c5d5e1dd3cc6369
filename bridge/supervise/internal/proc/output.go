package proc

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/lines"
)

// outputGrace is how long output is waited for when the process group has ended.
const outputGrace = 100 * time.Millisecond

// output writes the output of children to a log, which must not block: they would block, too.
// There is a pipe for each child, which all its descendants have.
type output struct {
	log *lines.Log

	readers sync.WaitGroup

	mu    sync.Mutex
	pipes map[*os.File]struct{} // that are being read
}

func newOutput(log *slog.Logger, name string) *output {
	return &output{log: lines.NewLog(log.With("command", name), "command output"), pipes: make(map[*os.File]struct{})}
}

// reader is one child's output.
type reader struct {
	file *os.File      // from open until done
	done chan struct{} // closed at the end of the output

	mu   sync.Mutex
	tail tail
}

func newReader() *reader { return &reader{done: make(chan struct{})} }

// open returns the end of a pipe that the child writes to. The caller closes it when the
// child has it, and then calls output.start, or discard.
func (r *reader) open() (write *os.File, err error) {
	if r.file, write, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("pipe for the command's output: %w", err)
	}
	return write, nil
}

// discard closes the other end, if start is not called.
func (r *reader) discard() { _ = r.file.Close() }

// lastLines are the last lines of output.
func (r *reader) lastLines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tail.lines()
}

// start reads until no process has the pipe any more, or close ends that.
func (o *output) start(r *reader, instance string, pid int) {
	o.mu.Lock()
	o.pipes[r.file] = struct{}{}
	o.mu.Unlock()
	o.readers.Go(func() {
		defer close(r.done)
		defer func() {
			o.mu.Lock()
			delete(o.pipes, r.file)
			o.mu.Unlock()
			_ = r.file.Close()
		}()
		src := o.log.Source(slog.String("instance", instance), slog.Int("pid", pid))
		defer src.End()
		buf := make([]byte, 16<<10)
		for {
			n, err := r.file.Read(buf)
			r.mu.Lock()
			r.tail.write(buf[:n])
			r.mu.Unlock()
			_, _ = src.Write(buf[:n]) // never fails
			if err != nil {
				return
			}
		}
	})
}

// awaitEnd waits until all output of a child that has ended was read. A process that has left
// the group may hold the pipe: it is waited for outputGrace at most.
func (r *reader) awaitEnd() {
	select {
	case <-r.done:
	case <-time.After(outputGrace):
	}
}

// close ends all readers, when the children are dead. Processes that have left their groups
// are not waited for.
func (o *output) close() {
	o.mu.Lock()
	for f := range o.pipes {
		_ = f.SetReadDeadline(time.Now().Add(outputGrace)) // pipes have deadlines
	}
	o.mu.Unlock()
	o.readers.Wait()
	o.log.Flush()
}
