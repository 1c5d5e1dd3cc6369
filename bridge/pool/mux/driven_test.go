package mux

import (
	"net"
	"sync"
	"syscall"
	"testing"
)

// testLoop is a Loop of one connection, without sockets: goroutines stand for the kernel.
type testLoop struct {
	mu     sync.Mutex
	queue  []func()
	more   *sync.Cond
	over   bool
	conn   *Conn
	pipe   *testPipe
	served sync.WaitGroup
}

func startTestLoop() *testLoop {
	l := &testLoop{}
	l.more = sync.NewCond(&l.mu)
	l.served.Go(l.run)
	return l
}

func (l *testLoop) run() {
	for {
		l.mu.Lock()
		for len(l.queue) == 0 && !l.over {
			l.more.Wait()
		}
		queue := l.queue
		l.queue = nil
		over := l.over
		l.mu.Unlock()
		for _, f := range queue {
			f()
		}
		if over && len(queue) == 0 {
			if l.conn != nil {
				l.conn.Release()
			}
			return
		}
	}
}

func (l *testLoop) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.more.Broadcast()
}

// stop ends the loop, and waits for it.
func (l *testLoop) stop() {
	l.end()
	l.served.Wait()
}

func (l *testLoop) Post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.queue = append(l.queue, f)
	l.more.Broadcast()
	return true
}

func (l *testLoop) Watch(c *Conn, _ int, room bool) error {
	l.conn = c
	l.pipe.watch(room)
	return nil
}

func (l *testLoop) Forget(*Conn) { l.conn = nil }

func (l *testLoop) ready(readable, ending, writable bool) {
	l.Post(func() {
		if l.conn != nil {
			l.conn.Ready(readable, ending, writable)
		}
	})
}

// pipeRoom is how much a testPipe takes that the application has not, in bytes.
const pipeRoom = 4 << 10

// testPipe is a socket: what has come, and what is to go.
type testPipe struct {
	nc   net.Conn
	loop *testLoop

	mu      sync.Mutex
	change  *sync.Cond
	in, out []byte
	inErr   error
	outErr  error
	room    bool
	started bool
	closed  bool
}

func (l *testLoop) direct(nc net.Conn) direct {
	l.pipe = &testPipe{nc: nc, loop: l}
	l.pipe.change = sync.NewCond(&l.pipe.mu)
	return l.pipe
}

func (p *testPipe) watch(room bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.room = room; room && len(p.out) == 0 {
		p.loop.ready(false, false, true)
	}
	if !p.started {
		p.started = true
		p.loop.served.Go(p.receive)
		p.loop.served.Go(p.send)
	}
}

func (p *testPipe) receive() {
	b := make([]byte, 1000)
	for {
		n, err := p.nc.Read(b)
		p.mu.Lock()
		p.in = append(p.in, b[:n]...)
		p.inErr = err
		if err != nil {
			p.closed = true
			p.change.Broadcast()
		}
		p.mu.Unlock()
		p.loop.ready(n > 0, err != nil, false)
		if err != nil {
			return
		}
	}
}

func (p *testPipe) send() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.out) == 0 && !p.closed {
			p.change.Wait()
		}
		if len(p.out) == 0 {
			return
		}
		part := p.out[:min(len(p.out), 1000)]
		p.mu.Unlock()
		n, err := p.nc.Write(part)
		p.mu.Lock()
		if p.out = p.out[n:]; err != nil {
			p.out, p.outErr = nil, err
		}
		if p.room {
			p.loop.ready(false, err != nil, true)
		}
		if err != nil {
			return
		}
	}
}

func (p *testPipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.in) == 0 {
		if p.inErr != nil {
			return 0, p.inErr
		}
		return 0, syscall.EAGAIN
	}
	n := copy(b, p.in)
	p.in = p.in[n:]
	return n, nil
}

func (p *testPipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.outErr != nil {
		return 0, p.outErr
	}
	n := min(len(b), pipeRoom-len(p.out))
	if n == 0 {
		return 0, syscall.EAGAIN
	}
	p.out = append(p.out, b[:n]...)
	p.change.Broadcast()
	return n, nil
}

func (p *testPipe) Control(f func(fd uintptr)) error {
	f(0)
	return nil
}

// A loop that has ended before drives nothing.
func TestLoopHasEnded(t *testing.T) {
	l := startTestLoop()
	l.stop()
	if l.Post(func() { t.Error("it was called") }) {
		t.Error("a loop that has ended takes something")
	}
}
