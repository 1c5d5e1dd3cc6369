// Command goapp is net/http/fcgi in a process of its own, on a socket that counts
// its connections. It serves /hello, /token and /echo as doc.go of package
// integration says, and
//
//	/once?t=&ledger=&ms=  adds t to the file ledger, reads the body, waits ms
//	                      milliseconds and answers t (also as X-Nonce), a newline
//	                      and the body
//	/unread?ms=           waits ms milliseconds, and does not read the body
//	/poll?t=              answers t when SIGUSR1 comes: a long-poll
//
// The listening socket is file descriptor 0. With --start, "starting" is printed, and
// nothing happens before that time has passed. Whoever connects to --stats is sent the
// counters, as JSON.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func main() {
	stats := flag.String("stats", "", "unix socket that tells the counters")
	start := flag.Duration("start", 0, "how long to do nothing at first")
	flag.Parse()
	if *start > 0 {
		fmt.Println("starting")
		time.Sleep(*start)
	}
	if err := serve(*stats); err != nil {
		fmt.Fprintln(os.Stderr, "goapp:", err)
		os.Exit(1)
	}
}

func serve(stats string) error {
	app, err := net.FileListener(os.Stdin)
	if err != nil {
		return fmt.Errorf("file descriptor 0: %w", err)
	}
	if err := os.Remove(stats); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // it is an earlier run's, which was killed
	}
	told, err := net.Listen("unix", stats)
	if err != nil {
		return err
	}
	c := &counters{}
	go tell(told, c)
	return fcgi.Serve(countingListener{app, c}, routes(newPolls(), c))
}

// counters are of connections, and of long-polls that wait.
type counters struct {
	mu       sync.Mutex
	Accepted int `json:"accepted"`
	Open     int `json:"open"`
	MostOpen int `json:"most_open"`
	Waiting  int `json:"waiting"`
}

func (c *counters) add(open, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Accepted += max(open, 0)
	c.Open += open
	c.MostOpen = max(c.MostOpen, c.Open)
	c.Waiting += waiting
}

func tell(l net.Listener, c *counters) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		text, err := json.Marshal(c)
		c.mu.Unlock()
		if err == nil {
			_, _ = conn.Write(text) // whoever asked has gone otherwise
		}
		conn.Close()
	}
}

type countingListener struct {
	net.Listener
	counters *counters
}

func (l countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.counters.add(1, 0)
	return &countedConn{Conn: conn, counters: l.counters}, nil
}

type countedConn struct {
	net.Conn
	counters *counters
	closed   sync.Once
}

func (c *countedConn) Close() error {
	c.closed.Do(func() { c.counters.add(-1, 0) })
	return c.Conn.Close()
}

// polls lets every long-poll that waits go at once.
type polls struct {
	mu   sync.Mutex
	open chan struct{} // closed by the next signal
}

func newPolls() *polls {
	p := &polls{open: make(chan struct{})}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			p.mu.Lock()
			close(p.open)
			p.open = make(chan struct{})
			p.mu.Unlock()
		}
	}()
	return p
}

func (p *polls) gate() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

func routes(p *polls, c *counters) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello\n")
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Query().Get("t"))
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	})
	mux.HandleFunc("/once", once)
	mux.HandleFunc("/unread", func(w http.ResponseWriter, r *http.Request) {
		wait(r)
		io.WriteString(w, "unread\n")
	})
	mux.HandleFunc("/poll", func(w http.ResponseWriter, r *http.Request) {
		open := p.gate()
		c.add(0, 1)
		defer c.add(0, -1)
		select {
		case <-open:
			io.WriteString(w, r.URL.Query().Get("t"))
		case <-r.Context().Done():
		}
	})
	return mux
}

func once(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	nonce := q.Get("t")
	if err := note(q.Get("ledger"), nonce); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	wait(r)
	w.Header().Set("X-Nonce", nonce)
	if r.Method == http.MethodHead {
		return
	}
	io.WriteString(w, nonce+"\n")
	w.Write(body)
}

// wait takes as long as the request says.
func wait(r *http.Request) {
	ms, _ := strconv.Atoi(r.URL.Query().Get("ms"))
	time.Sleep(time.Duration(ms) * time.Millisecond)
}

// note adds a line to a file, in one write.
func note(ledger, line string) error {
	f, err := os.OpenFile(ledger, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(line + "\n")
	return err
}
