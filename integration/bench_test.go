//go:build linux

package integration

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// callers is how many requests are under way at once in every benchmark.
const callers = 64

// benchHeader is what a browser sends; with what the bridge adds, about thirty
// variables reach the application.
const benchHeader = "Host: app.example.org\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
	"Accept-Language: en-GB,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Referer: http://app.example.org/wiki/WikiStart\r\n" +
	"Cookie: trac_session=0123456789abcdef01234567; trac_auth=89abcdef0123456789abcdef01234567\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Sec-Fetch-Dest: document\r\n" +
	"Sec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-Site: same-origin\r\n"

// benchServer is the address the requests came in at.
var benchServer net.Addr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}

// BenchmarkBridge is one request from http.Request to http.ResponseWriter, over
// kept connections, to net/http/fcgi in a process of its own: cpu-us/op is this
// process's user and system time, so the application's is not in it. Run it
// with -cpu 2 to compare with the figures in the documentation.
func BenchmarkBridge(b *testing.B) {
	for _, bm := range []struct {
		name    string
		workers int
		request string
		body    int
		reply   int
	}{
		{"Small", callers, "GET /bytes/200?page=1", 0, 200},
		{"SmallQueued", callers / 4, "GET /bytes/200?page=1", 0, 200},
		{"Post8KiB", callers, "POST /discard", 8 << 10, 200},
		{"Reply1MiB", callers, "GET /bytes/1048576", 0, 1 << 20},
	} {
		b.Run(bm.name, func(b *testing.B) {
			gate := startBridge(b, bm.workers)
			b.SetBytes(int64(bm.body + bm.reply))
			measure(b, func() func() error { return caller(b, gate, bm.request, bm.body, bm.reply) })
		})
	}
}

// BenchmarkFloor is what BenchmarkBridge/Small cannot go below here and now: the
// same request, encoded beforehand, written to a kept connection and read to its
// END_REQUEST, and nothing else.
func BenchmarkFloor(b *testing.B) {
	socket := startBackend(b)
	request := fcgi.AppendBeginRequest(nil, 1, fcgi.BeginRequest{Role: fcgi.RoleResponder, Flags: fcgi.FlagKeepConn})
	params := fcgi.NewParamsWriter(request, 1)
	for _, v := range [][2]string{{"REQUEST_METHOD", "GET"}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"REQUEST_URI", "/bytes/200?page=1"}} {
		if err := params.Add(v[0], v[1]); err != nil {
			b.Fatal(err)
		}
	}
	for line := range strings.Lines(benchHeader) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if err := params.Add("HTTP_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")), value); err != nil {
			b.Fatal(err)
		}
	}
	request = fcgi.AppendStreamEnd(params.End(), fcgi.TypeStdin, 1)
	measure(b, func() func() error {
		c, err := net.Dial("unix", socket)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		in := bufio.NewReader(c)
		return func() error {
			if _, err := c.Write(request); err != nil {
				return err
			}
			return readAnswer(in)
		}
	})
}

// readAnswer reads records up to END_REQUEST.
func readAnswer(in *bufio.Reader) error {
	for {
		head, err := in.Peek(fcgi.HeaderLen)
		if err != nil {
			return err
		}
		h, err := fcgi.DecodeHeader(head)
		if err != nil {
			return err
		}
		if _, err := in.Discard(fcgi.HeaderLen + int(h.ContentLength) + int(h.PaddingLength)); err != nil {
			return err
		}
		if h.Type == fcgi.TypeEndRequest {
			return nil
		}
	}
}

// startBackend starts the application in a process of its own and returns its
// socket; in HTTP it is at that path with ".http" after it.
func startBackend(b testing.TB) string {
	b.Helper()
	dir := socketDir(b)
	binary, socket := filepath.Join(dir, "backend"), filepath.Join(dir, "app.sock")
	run(b, exec.Command("go", "build", "-o", binary, "./peers/backend"))
	awaitSocket(b, start(b, exec.Command(binary, "--socket", socket, "--http-socket", socket+".http")), socket)
	return socket
}

// startBridge puts a bridge in front of a new backend.
func startBridge(b *testing.B, workers int) http.Handler {
	b.Helper()
	gate, err := bridge.New(b.Context(), bridge.Config{
		ApplicationConfig: bridge.ApplicationConfig{
			Backends: []string{"unix:" + startBackend(b)},
			Workers:  workers,
			Queue:    config.Queue{Timeout: config.Duration(patience)},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := gate.Close(); err != nil {
			b.Errorf("close the bridge: %v", err)
		}
	})
	return gate
}

// measure runs the calls that newCall makes, one for each caller, and reports
// what one costs. Each is made once before the clock starts, which finds out
// whether it works at all.
func measure(b *testing.B, newCall func() func() error) {
	b.Helper()
	calls := make(chan func() error, callers)
	for range callers {
		call := newCall()
		if err := call(); err != nil {
			b.Fatal(err)
		}
		calls <- call
	}

	b.ReportAllocs()
	procs := runtime.GOMAXPROCS(0)
	b.SetParallelism((callers + procs - 1) / procs)
	b.ResetTimer()
	before := ownCPU(b)
	b.RunParallel(func(pb *testing.PB) {
		call := <-calls
		for pb.Next() {
			if err := call(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(ownCPU(b)-before)/float64(time.Microsecond)/float64(b.N), "cpu-us/op")
}

// caller is one client: its request and its response writer are made once and
// reused, so that a call costs what the bridge costs.
func caller(b *testing.B, gate http.Handler, requestLine string, body, reply int) func() error {
	b.Helper()
	text := requestLine + " HTTP/1.1\r\n" + benchHeader
	if body > 0 {
		text += fmt.Sprintf("Content-Length: %d\r\n", body)
	}
	text += "\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		b.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.7:40000"
	// A server's requests can be cancelled; what that costs belongs to the call.
	ctx, cancel := context.WithCancel(context.WithValue(b.Context(), http.LocalAddrContextKey, benchServer))
	b.Cleanup(cancel)
	r = r.WithContext(ctx)
	content := &upload{data: make([]byte, body)}
	if body > 0 {
		r.Body = content
	}
	w := &sink{header: make(http.Header)}
	return func() error {
		content.Reset(content.data)
		clear(w.header)
		w.status, w.length = 0, 0
		gate.ServeHTTP(w, r)
		if w.status != http.StatusOK || w.length != reply {
			return fmt.Errorf("%s: status %d with %d bytes, want 200 with %d", requestLine, w.status, w.length, reply)
		}
		return nil
	}
}

// upload is a request body that can be sent again.
type upload struct {
	bytes.Reader
	data []byte
}

func (*upload) Close() error { return nil }

// sink is a response writer that counts. It can do what the server's can.
type sink struct {
	header http.Header
	status int
	length int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(code int) {
	if code >= 200 {
		s.status = code
	}
}

func (s *sink) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	s.length += len(p)
	return len(p), nil
}

func (s *sink) FlushError() error { return nil }

func (s *sink) SetReadDeadline(time.Time) error { return nil }

func (s *sink) SetWriteDeadline(time.Time) error { return nil }

func (s *sink) EnableFullDuplex() error { return nil }

// ownCPU is this process's user and system time so far.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
