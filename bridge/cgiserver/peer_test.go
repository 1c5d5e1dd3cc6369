package cgiserver_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m)) }

// Records as the specification has them, for request 1.
const (
	begin     = "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x00\x00\x00\x00\x00\x00"
	beginKeep = "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00"
	paramsEnd = "\x01\x04\x00\x01\x00\x00\x00\x00"
	stdinEnd  = "\x01\x05\x00\x01\x00\x00\x00\x00"
	stdoutEnd = "\x01\x06\x00\x01\x00\x00\x00\x00"
	complete  = "\x01\x03\x00\x01\x00\x08\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00"
	get       = "\x01\x04\x00\x01\x00\x28\x00\x00" + "\x0e\x03REQUEST_METHODGET" + "\x0b\x08REQUEST_URI/a%20b?c"
	abort     = "\x01\x02\x00\x01\x00\x00\x00\x00"
	invalid   = "\x00\x00\x00\x00\x00\x00\x00\x00"
)

// record is a record of request 1 of at most 255 bytes.
func record(typ byte, content string) string {
	return "\x01" + string(rune(typ)) + "\x00\x01\x00" + string([]byte{byte(len(content))}) + "\x00\x00" + content
}

// of makes records of request 1 those of another request, which has no zero bytes of that kind
// elsewhere.
func of(id byte, records string) string {
	var b strings.Builder
	for len(records) > 0 {
		n := 8 + int(records[4])<<8 + int(records[5])
		b.WriteString(records[:3] + string([]byte{id}) + records[4:n])
		records = records[n:]
	}
	return b.String()
}

// peer is a web server on the other side of a connection.
type peer struct {
	t    *testing.T
	conn net.Conn
	log  *logs
	gone chan struct{} // closed when the server has closed the connection
}

// logs are the lines of a log.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// connect connects a peer to s, which is closed at the end of the test. It is for a synctest
// bubble.
func connect(t *testing.T, s *cgiserver.Server) *peer {
	t.Helper()
	p := &peer{t: t, log: new(logs), gone: make(chan struct{})}
	if s.Logger == nil {
		s.Logger = slog.New(slog.NewTextHandler(p.log, nil))
	}
	var other net.Conn
	p.conn, other = net.Pipe()
	go func() {
		s.ServeConn(other)
		close(p.gone)
	}()
	t.Cleanup(func() {
		_ = p.conn.Close()
		_ = s.Close()
	})
	return p
}

func (p *peer) send(records ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, strings.Join(records, "")); err != nil {
		p.t.Fatalf("sending: %v", err)
	}
}

// expect reads what the server sends, and compares it.
func (p *peer) expect(records ...string) {
	p.t.Helper()
	want := strings.Join(records, "")
	got := make([]byte, len(want))
	_ = p.conn.SetReadDeadline(time.Now().Add(time.Second))
	n, err := io.ReadFull(p.conn, got)
	if string(got[:n]) != want {
		p.t.Fatalf("received\n%q (%v), want\n%q; log: %s", got[:n], err, want, p.log.text.String())
	}
}

// silent checks that the server has sent nothing more, and keeps the connection.
func (p *peer) silent() {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(time.Second))
	var b [64]byte
	if n, err := p.conn.Read(b[:]); n > 0 || !os.IsTimeout(err) {
		p.t.Fatalf("received %q, %v", b[:n], err)
	}
}

// closed checks that the server closes the connection, and sends nothing before.
func (p *peer) closed() {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(time.Hour))
	if b, err := io.ReadAll(p.conn); len(b) > 0 || err != nil {
		p.t.Fatalf("received %q, %v before the end", b, err)
	}
	<-p.gone
}

// text answers with a text.
func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, s)
	}
}

// head is the header that text has sent.
const head = "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n"

// bubble runs f in a synctest bubble.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
