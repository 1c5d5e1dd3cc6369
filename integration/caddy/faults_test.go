//go:build linux

package caddy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roads are the two ways to an application, as directives that lack its address and
// further options.
var roads = map[string]string{
	"handler":   "sluice %s {\n%s\n}",
	"transport": "reverse_proxy %s {\ntransport sluice {\n%s\n}\n}",
}

// both runs a test on each of the roads to an application that h is. Caddy lets larger
// headers through than it does by default.
func both(t *testing.T, h http.HandlerFunc, test func(t *testing.T, s *site)) {
	t.Helper()
	for name, directive := range roads {
		t.Run(name, func(t *testing.T) {
			a := startApp(t, h)
			test(t, start(t, fmt.Sprintf(directive, a.addr, ""), "servers {\nmax_header_size 1MiB\n}"))
		})
	}
}

// An upload of unknown length arrives whole, with its length.
func TestChunkedUploads(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.ContentLength, " ", n, " ", err)
	}, func(t *testing.T, s *site) {
		for _, n := range []int{1, 300_000} {
			r, err := http.NewRequest("POST", s.url, io.MultiReader(strings.NewReader(strings.Repeat("x", n)))) // its length is not known
			if err != nil {
				t.Fatal(err)
			}
			s.want(s.do(r), 200, fmt.Sprintf("%d %d <nil>", n, n))
		}
	})
}

// An application that answers without reading the body has its answer delivered.
func TestEarlyAnswers(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, "no")
	}, func(t *testing.T, s *site) {
		s.want(s.ask("POST", "/", strings.Repeat("x", 4<<20)), 403, "no")
		s.want(s.get("/"), 403, "no")
	})
}

// Parameters of many kilobytes arrive whole; what is too large is the client's fault.
func TestLargeParameters(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, len(r.URL.RawQuery), " ", len(r.Header.Get("X-Large")))
	}, func(t *testing.T, s *site) {
		query := "q=" + url.QueryEscape(strings.Repeat("ä", 2_000))
		re := s.ask("GET", "/?"+query, "", "X-Large", strings.Repeat("h", 30_000))
		s.want(re, 200, fmt.Sprint(len(query), " ", 30_000))
		if re := s.ask("GET", "/", "", "X-Large", strings.Repeat("h", 100_000)); re.status != 431 || !strings.Contains(re.body, "larger than the application takes") {
			t.Errorf("%d %s", re.status, re.body)
		}
	})
}

// A PHP script that floods its standard error answers all the same, and the log is told
// how much was left out.
func TestStderrFlood(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "index.php"), `<?php for ($i = 0; $i < 20000; $i++) error_log("line $i " . str_repeat("x", 100)); echo "done";`)
	for name, directive := range roads {
		t.Run(name, func(t *testing.T) {
			s := start(t, fmt.Sprintf(directive, startFPM(t, 1), "preset php\nroot "+root))
			s.want(s.get("/index.php"), 200, "done")
			if lines := s.logged(`"logger":"http.`, "line 1 xxx"); len(lines) == 0 || len(lines) > 10 {
				t.Errorf("%d lines in the log", len(lines))
			}
		})
	}
}

// A full backlog is waited for, where connecting fails at once.
func TestFullBacklog(t *testing.T) {
	for name, directive := range roads {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(socketDir(t), "app.sock")
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer syscall.Close(fd)
			if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Listen(fd, 0); err != nil {
				t.Fatal(err)
			}
			queued, err := net.Dial("unix", path) // all the room there is
			if err != nil {
				t.Fatal(err)
			}
			defer queued.Close()
			s := start(t, fmt.Sprintf(directive, "unix/"+path, "workers 2"))
			first := make(chan reply)
			go func() { first <- s.get("/") }()
			for end := time.Now().Add(patience); s.backlogFull() == 0; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the backlog was never found full")
				}
			}
			go acceptAndAnswer(t, fd)
			s.want(<-first, 200, "late")
		})
	}
}

// backlogFull is how often connecting found a full backlog.
func (s *site) backlogFull() (n uint64) {
	for _, a := range s.state() {
		for _, in := range a.Snapshot.Pool.Instances {
			n += in.BacklogFull
		}
	}
	return n
}

// acceptAndAnswer accepts two connections, the second of which has a request of id 1 in it.
func acceptAndAnswer(t *testing.T, fd int) {
	for i := range 2 {
		c, _, err := syscall.Accept(fd)
		if err != nil {
			t.Error(err)
			return
		}
		defer syscall.Close(c)
		if i == 0 {
			continue
		}
		buf := make([]byte, 8)
		if _, err := syscall.Read(c, buf); err != nil {
			t.Error(err)
		}
		body := "Status: 200\r\nContent-Type: text/plain\r\n\r\nlate"
		record := append([]byte{1, 6, buf[2], buf[3], 0, byte(len(body)), 0, 0}, body...)
		record = append(record, 1, 3, buf[2], buf[3], 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		if _, err := syscall.Write(c, record); err != nil {
			t.Error(err)
		}
	}
}

// What the application flushes reaches the client.
func TestStreams(t *testing.T) {
	next := make(chan struct{})
	both(t, func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			fmt.Fprintln(w, "line", i)
			w.(http.Flusher).Flush()
			<-next
		}
	}, func(t *testing.T, s *site) {
		res, err := s.client.Get(s.url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.ContentLength != -1 {
			t.Errorf("Content-Length is %d", res.ContentLength)
		}
		lines := bufio.NewReader(res.Body)
		for i := range 3 {
			if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintln("line", i) {
				t.Fatalf("%q, %v", line, err)
			}
			next <- struct{}{}
		}
		if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

// An answer that ends too early does not look complete.
func TestBrokenAnswers(t *testing.T) {
	both(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
	}, func(t *testing.T, s *site) {
		if re := s.get("/"); re.err == nil && re.status == 200 {
			t.Errorf("%+v", re)
		}
	})
}
