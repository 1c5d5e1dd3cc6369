package nested

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/acceptqueue"
	"github.com/sluice-proxy/sluice/internal/sockdiag"
)

// roleVariable makes the test binary an application, or a client that is none.
const roleVariable = "NESTED_TEST_ROLE"

// application serves connections to the socket it inherits, each in a process of its own
// that does what it is told: "dial ADDR" connects there and keeps the connection. A client
// does that without serving.
func application() int {
	role, arg, _ := strings.Cut(os.Getenv(roleVariable), " ")
	switch role {
	case "client", "grandchild":
		c, err := net.Dial("tcp", arg)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(c.LocalAddr())
		_, _ = io.Copy(io.Discard, os.Stdin) // until whoever started it has gone
		return 0
	case "worker":
		l, err := net.FileListener(os.NewFile(3, "listener"))
		if err != nil {
			fmt.Println(err)
			return 1
		}
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		return work(c)
	}
	return 2
}

// work does what it is told on c.
func work(c net.Conn) int {
	in := bufio.NewScanner(c)
	for in.Scan() {
		verb, addr, _ := strings.Cut(in.Text(), " ")
		switch verb {
		case "dial":
			out, err := net.Dial("tcp", addr)
			if err != nil {
				return 1
			}
			fmt.Fprintln(c, out.LocalAddr())
		case "child": // a program that the worker runs dials
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), roleVariable+"=grandchild "+addr)
			stdin, err := cmd.StdinPipe()
			if err != nil {
				return 1
			}
			defer stdin.Close()
			out, err := cmd.StdoutPipe()
			if err != nil || cmd.Start() != nil {
				return 1
			}
			line, _ := bufio.NewReader(out).ReadString('\n')
			fmt.Fprint(c, line)
			defer func() { _ = stdin.Close(); _ = cmd.Wait() }()
		}
	}
	return 0
}

// stage is a front, an application behind it, and who knows what of them.
type stage struct {
	*testing.T
	front     net.Listener
	path      string
	listeners []uint64
	requests  []*Request
	child     int // the request of a process that the application has started
	f         *Finder
}

// newStage starts workers, each of which has one connection at a time, on a socket.
func newStage(t *testing.T, network string, workers int) *stage {
	t.Helper()
	s := &stage{T: t, f: New(func() []uint64 { return nil })}
	t.Cleanup(s.f.Close)
	s.f.lastScan = time.Now() // the test looks
	var err error
	if s.front, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.front.Close() })
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	s.path = l.Addr().String()
	for range workers {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), roleVariable+"=worker", "GOMAXPROCS=1")
		cmd.ExtraFiles = []*os.File{file}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	q, err := acceptqueue.Of(network, s.path)
	if err != nil {
		t.Fatal(err)
	}
	s.listeners = q.Inodes
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	file.Close()
	l.Close()
	return s
}

// upstream connects to a worker.
func (s *stage) upstream(network string) net.Conn {
	s.Helper()
	c, err := net.Dial(network, s.path)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	return c
}

// request is one that has come to the front from an address.
func (s *stage) request(from string) *Request {
	s.Helper()
	c, err := s.front.Accept()
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	if c.RemoteAddr().String() != from {
		s.Fatalf("a connection from %s, want %s", c.RemoteAddr(), from)
	}
	r := s.f.Track(from, c.LocalAddr())
	s.requests = append(s.requests, r)
	return r
}

// ask has the worker at the end of c connect to the front, or a child of it.
func (s *stage) ask(c net.Conn, verb string) *Request {
	s.Helper()
	fmt.Fprintln(c, verb, s.front.Addr())
	from, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		s.Fatal(err)
	}
	return s.request(strings.TrimSpace(from))
}

func (s *stage) on(r *Request, c net.Conn) {
	s.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		s.Fatal(err)
	}
	r.Served(new(note), raw, c.LocalAddr(), c.RemoteAddr())
}

func (s *stage) want(want ...int) {
	s.Helper()
	got, application := scanProcesses(s.requests, s.listeners, nil)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.Errorf("depths %v, want %v", got, want)
	}
	if application == nil {
		return
	}
	again, _ := scanProcesses(s.requests, s.listeners, application)
	for i := range again {
		if again[i] != want[i] && i != s.child {
			s.Errorf("depths %v among the application's own processes, want %v", again, want)
		}
	}
}

// TestWhoseRequestItIs has the application, a child of it, and a client that is neither
// send requests, all from this machine.
func TestWhoseRequestItIs(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			s := newStage(t, network, 2)
			client := exec.Command(os.Args[0])
			client.Env = append(os.Environ(), roleVariable+"=client "+s.front.Addr().String())
			stdin, err := client.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := client.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stdin.Close(); _ = client.Wait() }()
			from, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			page := s.request(strings.TrimSpace(from))
			first := s.upstream(network)
			s.on(page, first)
			s.ask(first, "dial")
			s.ask(first, "child")
			s.child = 2

			own, err := net.Dial("tcp", s.front.Addr().String()) // this process's
			if err != nil {
				t.Fatal(err)
			}
			defer own.Close()
			s.request(own.LocalAddr().String())
			s.want(0, 1, 1, 0)
			s.listeners = nil
			s.want(0, 0, 0, 0)
		})
	}
}

// TestGoneClient has a request whose client is no more.
func TestGoneClient(t *testing.T) {
	s := newStage(t, "unix", 1)
	c, err := net.Dial("tcp", s.front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.request(c.LocalAddr().String())
	c.Close()
	s.want(0)
}

// TestKernelIsAskedOnce has a request be looked at again: where it comes from does not change,
// and thousands may wait.
func TestKernelIsAskedOnce(t *testing.T) {
	s := newStage(t, "unix", 1)
	c, err := net.Dial("tcp", s.front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := s.request(c.LocalAddr().String())
	up := s.upstream("unix")
	s.on(r, up)
	s.ask(up, "dial") // it is accepted
	d, err := sockdiag.Dial()
	if err != nil {
		t.Fatal(err)
	}
	client, serving := r.sockets(d)
	if client == 0 || serving == 0 {
		t.Fatalf("inodes %d and %d", client, serving)
	}
	d.Close() // it cannot be asked any more
	if again, too := r.sockets(d); again != client || too != serving {
		t.Errorf("inodes %d and %d, then %d and %d", client, serving, again, too)
	}
}

func BenchmarkLook(b *testing.B) {
	f := New(func() []uint64 { return nil })
	defer f.Close()
	r := f.Track("127.0.0.1:4711", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80})
	defer r.End()
	for b.Loop() {
		scanProcesses([]*Request{r}, []uint64{1}, nil)
	}
}
