package demo

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	netfcgi "net/http/fcgi"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// ThreadCount is how many requests the application serves at once.
	ThreadCount = 16

	shortTime   = 20 * time.Millisecond  // work of a short request
	pollTime    = 6 * time.Second        // length of a long-poll
	sessionTime = 500 * time.Millisecond // work of a request that holds its session's lock
	stallTime   = 5 * time.Second        // length of a stall
	leakEach    = 512 << 10              // bytes that each short request loses, if it leaks
	crashStatus = 3                      // exit status
)

// app is the application: a FastCGI program with ThreadCount threads, one for each connection. It accepts
// and closes further connections, as flup's threaded server does.
type app struct {
	net.Listener
	open                 atomic.Int64 // connections, and threads at work whose connection is gone
	most, turnedAway     atomic.Int64 // the most that there were, with the one too many; and how many of these
	short, poll, session atomic.Int64 // threads that serve such a request
	leaks                atomic.Bool
	stalled              atomic.Int64 // until when requests do not begin, as Unix nanoseconds
	turn                 sync.Mutex   // the lock of the one session there is

	threads sync.Map // of *thread, those that are taken

	mu   sync.Mutex
	lost [][]byte // the leak
}

// appReport is what the application tells the parent.
type appReport struct {
	PID        int    `json:"pid"`
	Short      int64  `json:"short"`
	Poll       int64  `json:"poll"`
	Session    int64  `json:"session"`
	Memory     uint64 `json:"memory"` // what it has leaked, in bytes
	Open       int64  `json:"open"`
	Most       int64  `json:"most"`
	TurnedAway int64  `json:"turned_away"`
}

// RunApplication serves as the application at its standard input, under the control of the parent's
// socket, until the parent ends.
func RunApplication(control string) error {
	l, parent, err := enter(control)
	if err != nil {
		return err
	}
	a := &app{Listener: l}
	go a.obey(parent)
	go report(parent, a.report)
	mux := http.NewServeMux()
	mux.HandleFunc("/", a.work(&a.short, func() {
		time.Sleep(shortTime)
		a.leak()
	}))
	mux.HandleFunc("/poll", a.work(&a.poll, func() { time.Sleep(pollTime) }))
	mux.HandleFunc("/session", a.work(&a.session, func() {
		a.turn.Lock()
		defer a.turn.Unlock()
		time.Sleep(sessionTime)
	}))
	return netfcgi.Serve(a, mux)
}

// obey does what the parent says, and ends with it.
func (a *app) obey(parent net.Conn) {
	for lines := bufio.NewScanner(parent); lines.Scan(); {
		switch lines.Text() {
		case "crash":
			os.Exit(crashStatus)
		case "stall":
			a.stalled.Store(time.Now().Add(stallTime).UnixNano())
		case "leak on":
			a.leaks.Store(true)
		case "leak off":
			a.leaks.Store(false)
		}
	}
	os.Exit(0)
}

func (a *app) report() appReport {
	a.mu.Lock()
	defer a.mu.Unlock()
	return appReport{
		PID: os.Getpid(), Short: a.short.Load(), Poll: a.poll.Load(), Session: a.session.Load(), Memory: uint64(len(a.lost)) * leakEach,
		Open: a.open.Load(), Most: a.most.Load(), TurnedAway: a.turnedAway.Load(),
	}
}

// leak keeps memory for ever. It is written to, so that it is really there.
func (a *app) leak() {
	if !a.leaks.Load() {
		return
	}
	b := make([]byte, leakEach)
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost = append(a.lost, b)
}

func (a *app) work(busy *atomic.Int64, does func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		busy.Add(1)
		defer busy.Add(-1)
		time.Sleep(time.Until(time.Unix(0, a.stalled.Load())))
		does()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, strings.TrimPrefix(r.URL.Path, "/"), "done")
	}
}

// Accept returns the next connection for which there is a thread.
func (a *app) Accept() (net.Conn, error) {
	for {
		c, err := a.Listener.Accept()
		if err != nil {
			return nil, err
		}
		n := a.open.Add(1)
		if n > ThreadCount {
			a.notice()
			n = a.open.Load()
		}
		a.most.Store(max(n, a.most.Load()))
		if n <= ThreadCount {
			t := &thread{Conn: c, app: a}
			a.threads.Store(t, nil)
			return t, nil
		}
		a.turnedAway.Add(1)
		a.open.Add(-1)
		_ = c.Close()
	}
}

// notice frees the threads whose connections a gate has closed, and that have not run since: connections
// are too many only while they are open.
func (a *app) notice() {
	for t := range a.threads.Range {
		if t := t.(*thread); hasEnded(t.Conn) {
			t.set(func() { t.closed = true })
		}
	}
}

// hasEnded reports whether nothing more can be read from a connection.
func hasEnded(c net.Conn) (ended bool) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		ended = n == 0 && err == nil || errors.Is(err, syscall.ECONNRESET)
	})
	return ended && err == nil
}

// thread is a connection that frees its thread when it is closed and its request is over: one that a
// gate has left, because it was killed, keeps its thread at work. There is one request at a time, and
// all of it is read before it begins.
type thread struct {
	net.Conn
	app *app

	mu                   sync.Mutex
	works, closed, freed bool
}

// Types of records (FastCGI 1.0, section 8).
const (
	headerSize   = 8
	beginRequest = 1
	endRequest   = 3
)

// Read reads the header of a record, or some of its content. A query is no work.
func (t *thread) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n == headerSize && p[1] == beginRequest {
		t.set(func() { t.works = true })
	}
	return n, err
}

// Write writes a record.
func (t *thread) Write(p []byte) (int, error) {
	if len(p) > 1 && p[1] == endRequest {
		defer t.set(func() { t.works = false })
	}
	return t.Conn.Write(p)
}

func (t *thread) Close() error {
	t.set(func() { t.closed = true })
	return t.Conn.Close()
}

// set changes the state, and frees the thread if that is its end.
func (t *thread) set(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
	if t.closed && !t.works && !t.freed {
		t.freed = true
		t.app.threads.Delete(t)
		t.app.open.Add(-1)
	}
}
