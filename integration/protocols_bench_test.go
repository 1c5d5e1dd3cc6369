//go:build linux

package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
)

// BenchmarkProtocols has a way for each protocol in and out, and for HTTP by --front net: the same
// request, over kept connections of unix sockets, by way of sluice serve to the same Go program. Each
// iteration is a round of all ways; the figures are the medians of the rounds, of the CPU time of
// sluice serve per request.
//
//	go test ./integration -run '^$' -bench Protocols -benchtime 7x
func BenchmarkProtocols(b *testing.B) {
	ways := startWays(b)
	for _, w := range ways {
		w.connect(b) // not before: a connection without a request does not stay
		w.round(b)   // warms up
	}
	for b.Loop() {
		for _, w := range ways {
			w.samples = append(w.samples, w.round(b))
		}
	}
	for _, w := range ways {
		slices.Sort(w.samples)
		b.ReportMetric(w.samples[len(w.samples)/2], w.name+"-cpu-us")
	}
}

// way is sluice serve with a client's connections to it.
type way struct {
	name    string
	gate    sluice
	at      string // its unix socket
	request []byte
	answer  func(*bufio.Reader) error
	conns   []net.Conn
	readers []*bufio.Reader
	samples []float64
}

// startWays starts a gate for each protocol of the application and each front.
func startWays(b *testing.B) (ways []*way) {
	b.Helper()
	socket := startBackend(b)
	for _, out := range []struct{ name, addr string }{
		{"fcgi", "unix:" + socket},
		{"http", "http+unix:" + socket + ".http"},
	} {
		dir := socketDir(b)
		inHTTP, inFastCGI, inNet := filepath.Join(dir, "http"), filepath.Join(dir, "fcgi"), filepath.Join(dir, "net")
		workers := []string{"--backend", out.addr, "--workers", strconv.Itoa(callers)}
		loop := startSluice(b, append(workers, "--listen", "unix:"+inHTTP, "--listen", "fcgi+unix:"+inFastCGI)...)
		netFront := startSluice(b, append(workers, "--listen", "unix:"+inNet, "--front", "net")...)
		get := []byte("GET /bytes/200?page=1 HTTP/1.1\r\n" + benchHeader + "\r\n")
		ways = append(
			ways,
			&way{name: "http-" + out.name, gate: loop, at: inHTTP, request: get, answer: readHTTPAnswer},
			&way{name: "net-" + out.name, gate: netFront, at: inNet, request: get, answer: readHTTPAnswer},
			&way{name: "fcgi-" + out.name, gate: loop, at: inFastCGI, request: benchRecords(b), answer: readFastCGIAnswer},
		)
	}
	return ways
}

func (w *way) connect(b *testing.B) {
	b.Helper()
	for range callers {
		c, err := net.Dial("unix", w.at)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		w.conns, w.readers = append(w.conns, c), append(w.readers, bufio.NewReader(c))
	}
}

// round sends so many requests by each connection that the kernel's count of CPU time, in steps
// of 10 ms, is exact to 1 %. It returns microseconds per request.
func (w *way) round(b *testing.B) float64 {
	const each = 400
	before := cpuTicks(b, w.gate.Process.Pid)
	var all sync.WaitGroup
	for i, c := range w.conns {
		all.Go(func() {
			for range each {
				if _, err := c.Write(w.request); err != nil {
					b.Error(w.name, err)
					return
				}
				if err := w.answer(w.readers[i]); err != nil {
					b.Error(w.name, err)
					return
				}
			}
		})
	}
	all.Wait()
	return float64(cpuTicks(b, w.gate.Process.Pid)-before) * 10_000 / float64(each*len(w.conns))
}

// cpuTicks is the user and system time of a process, in hundredths of a second.
func cpuTicks(b *testing.B, pid int) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')'):])) // ) is the 2nd of proc(5)
	user, err := strconv.Atoi(fields[12])
	if err != nil {
		b.Fatal(err)
	}
	system, err := strconv.Atoi(fields[13])
	if err != nil {
		b.Fatal(err)
	}
	return user + system
}

// benchRecords is the request with the variables of nginx's fastcgi_params.
func benchRecords(b *testing.B) []byte {
	b.Helper()
	params := fcgi.NewParamsWriter(fcgi.AppendBeginRequest(nil, 1, fcgi.BeginRequest{Role: fcgi.RoleResponder, Flags: fcgi.FlagKeepConn}), 1)
	add := func(name, value string) {
		if err := params.Add(name, value); err != nil {
			b.Fatal(err)
		}
	}
	for _, v := range [][2]string{
		{"QUERY_STRING", "page=1"},
		{"REQUEST_METHOD", "GET"},
		{"CONTENT_TYPE", ""},
		{"CONTENT_LENGTH", ""},
		{"SCRIPT_NAME", ""},
		{"PATH_INFO", "/bytes/200"},
		{"REQUEST_URI", "/bytes/200?page=1"},
		{"DOCUMENT_URI", "/bytes/200"},
		{"DOCUMENT_ROOT", "/srv"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"REQUEST_SCHEME", "http"},
		{"GATEWAY_INTERFACE", "CGI/1.1"},
		{"SERVER_SOFTWARE", "nginx/1.22.1"},
		{"REMOTE_ADDR", "192.0.2.7"},
		{"REMOTE_PORT", "40000"},
		{"SERVER_ADDR", "192.0.2.1"},
		{"SERVER_PORT", "80"},
		{"SERVER_NAME", "app.example.org"},
		{"REDIRECT_STATUS", "200"},
	} {
		add(v[0], v[1])
	}
	for line := range strings.Lines(benchHeader) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		add("HTTP_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")), value)
	}
	return fcgi.AppendStreamEnd(params.End(), fcgi.TypeStdin, 1)
}

func readFastCGIAnswer(in *bufio.Reader) error {
	const status = "Status: 200"
	begin, err := in.Peek(fcgi.HeaderLen + len(status))
	if err != nil {
		return err
	}
	if string(begin[fcgi.HeaderLen:]) != status {
		return fmt.Errorf("the answer begins with %q", begin)
	}
	return readAnswer(in)
}

func readHTTPAnswer(in *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && string(line) != "HTTP/1.1 200 OK\r\n" {
			return fmt.Errorf("the answer begins with %q", line)
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
		if string(line) == "\r\n" {
			_, err := in.Discard(length)
			return err
		}
	}
}
