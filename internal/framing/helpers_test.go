package framing

import (
	"bytes"
	"errors"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// wire is a client's connection in memory: what it sends comes in pieces, then its end.
type wire struct {
	pieces [][]byte

	out    bytes.Buffer // what it was sent
	mu     sync.Mutex
	closed chan struct{}
	once   sync.Once
}

func newWire(pieces ...[]byte) *wire { return &wire{pieces: pieces, closed: make(chan struct{})} }

func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.pieces[0])
	if w.pieces[0] = w.pieces[0][n:]; len(w.pieces[0]) == 0 {
		w.pieces = w.pieces[1:]
	}
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p)
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

func (w *wire) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

func (w *wire) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 1024} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// one is a listener for one connection.
type one struct {
	net.Conn
	given bool
}

func (l *one) Accept() (net.Conn, error) {
	if l.given {
		return nil, net.ErrClosed
	}
	l.given = true
	return l.Conn, nil
}
func (l *one) Close() error   { return nil }
func (l *one) Addr() net.Addr { return l.LocalAddr() }

// seen is a request as a handler sees it.
type seen struct {
	method, target, host, body string
	length                     int64
	header                     http.Header
	err                        error
	gone                       bool // its context had ended when its body was read
}

// maxHeader is how large a header may be in tests, in bytes.
const maxHeader = 64 << 10

// serve has net/http read what w sends, checked, and returns the requests it saw.
func serve(t testing.TB, w *wire, refused func(net.Addr, *Error, int)) []seen {
	t.Helper()
	return serveReading(t, w, math.MaxInt64, refused)
}

// serveReading is serve with a handler that reads that much of each body, in bytes. The
// rest is net/http's to read away.
func serveReading(t testing.TB, w *wire, most int64, refused func(net.Addr, *Error, int)) []seen {
	t.Helper()
	var list []seen
	srv := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(io.LimitReader(r.Body, most))
			list = append(list, seen{r.Method, r.RequestURI, r.Host, string(body), r.ContentLength, r.Header, err, r.Context().Err() != nil})
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
			}
		}),
	}
	if err := srv.Serve(&Listener{Listener: &one{Conn: w}, Refused: refused, MaxHeader: maxHeader}); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	<-w.closed
	return list
}

// pieces cuts text into pieces of n bytes.
func pieces(text string, n int) (list [][]byte) {
	for len(text) > n {
		list, text = append(list, []byte(text[:n])), text[n:]
	}
	return append(list, []byte(text))
}

// statuses lists the statuses of the answers that a client was sent.
func statuses(out string) (list []string) {
	for line := range strings.SplitSeq(out, "\n") {
		if rest, ok := strings.CutPrefix(line, "HTTP/1.1 "); ok {
			list = append(list, rest[:3])
		}
	}
	return list
}
