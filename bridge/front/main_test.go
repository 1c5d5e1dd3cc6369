//go:build linux

package front_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/front"
	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
	"github.com/sluice-proxy/sluice/internal/framing"
	"github.com/sluice-proxy/sluice/internal/halfclose"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m)) }

// rig is an application of net/http/fcgi with two fronts.
type rig struct {
	handler *bridge.Handler
	loop    string // address of the event loops
	net     string // address of net/http

	holds http.HandlerFunc // answers below /held; set before the first request

	steps chan struct{} // lets /steps go on

	mu       sync.Mutex
	outcomes []bridge.Outcome
	loops    *front.Server
}

// newRig starts an application, and both fronts. Everything ends with the test.
func newRig(t testing.TB, change func(*bridge.Config), options func(*front.Config)) *rig {
	t.Helper()
	r := &rig{steps: make(chan struct{})}
	dir := t.TempDir()
	app, err := net.Listen("unix", filepath.Join(dir, "app.sock"))
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { _ = fcgi.Serve(app, http.HandlerFunc(r.answer)) })
	t.Cleanup(func() {
		_ = app.Close()
		served.Wait()
	})

	cfg := bridge.Config{}
	cfg.Backends, cfg.Workers, cfg.Spool.Dir = []string{"unix:" + app.Addr().String()}, 16, dir
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Observe = func(_ *http.Request, o *bridge.Outcome) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.outcomes = append(r.outcomes, *o)
	}
	if change != nil {
		change(&cfg)
	}
	if r.handler, err = bridge.New(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.handler.Close() })

	site, err := front.NewSite(r.handler)
	if err != nil {
		t.Fatal(err)
	}
	loopCfg := front.Config{Find: func(*http.Request) *front.Site { return site }, HeaderTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second, Loops: 2}
	if options != nil {
		options(&loopCfg)
	}
	if r.loops, err = front.New(loopCfg); err != nil {
		t.Fatal(err)
	}
	accepting, err := front.Listen(listen(t))
	if err != nil {
		t.Fatal(err)
	}
	r.loop = accepting.Addr().String()
	served.Go(func() { _ = r.loops.Serve(accepting) })
	rest := r.serveNet(t, handed{r.loops.Handed()}, loopCfg)
	t.Cleanup(func() {
		_, _ = accepting.Close(), rest.Close()
		_ = r.loops.Close()
	})

	plain := listen(t)
	r.net = plain.Addr().String()
	server := r.serveNet(t, halfclose.Config{}.Listener(plain), loopCfg)
	t.Cleanup(func() { _ = server.Close() })
	return r
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// handed hides the end of a client's sending side from net/http, as halfclose.Listener does.
type handed struct{ net.Listener }

func (h handed) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err == nil {
		c.(*front.Handed).Conn = halfclose.Config{}.Wrap(c.(*front.Handed).Conn)
	}
	return c, err
}

// serveNet serves l with net/http, as sluice serve does.
func (r *rig) serveNet(t testing.TB, l net.Listener, cfg front.Config) *http.Server {
	s := &http.Server{
		Handler: r.handler, ReadHeaderTimeout: cfg.HeaderTimeout, IdleTimeout: cfg.IdleTimeout,
		ErrorLog: log.New(io.Discard, "", 0), MaxHeaderBytes: 64 << 10,
		ConnState: func(c net.Conn, state http.ConnState) {
			outer := c.(interface{ NetConn() net.Conn }).NetConn()
			if h, ok := outer.(*front.Handed); ok {
				outer = h.Conn
			}
			halfclose.Track(outer, state)
		},
	}
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(&framing.Listener{Listener: l, MaxHeader: 64 << 10}) })
	t.Cleanup(served.Wait)
	return s
}

// answer is the application.
func (r *rig) answer(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	if strings.HasPrefix(req.URL.Path, "/held") {
		r.holds(w, req)
		return
	}
	switch req.URL.Path {
	case "/poll":
		time.Sleep(time.Second) // a client that leaves does not end it
	case "/bytes":
		n, _ := strconv.Atoi(req.FormValue("n"))
		if req.FormValue("length") != "" {
			h.Set("Content-Length", strconv.Itoa(n))
		}
		h.Set("Content-Type", "application/octet-stream")
		writePattern(w, n)
	case "/slow":
		h.Set("Content-Type", "text/plain")
		for i := range 5 {
			fmt.Fprintf(w, "%d\n", i)
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	case "/steps":
		h.Set("Content-Type", "text/html")
		for i := range 3 {
			fmt.Fprintf(w, "step %d\n", i)
			w.(http.Flusher).Flush()
			<-r.steps
		}
	case "/noise":
		n, _ := strconv.Atoi(req.FormValue("n"))
		h.Set("Content-Type", "text/html")
		h.Set("ETag", `"noise"`)
		if req.FormValue("length") != "" {
			h.Set("Content-Length", strconv.Itoa(n))
		}
		_, _ = w.Write(noise(n))
	case "/tagged":
		h["Content-Type"] = nil
		h.Set("ETag", `"noise"`)
		w.WriteHeader(http.StatusNotModified)
	case "/status":
		n, _ := strconv.Atoi(req.FormValue("n"))
		h["Content-Type"] = nil
		if n != http.StatusNoContent && n != http.StatusNotModified {
			h.Set("Content-Length", "0")
		}
		w.WriteHeader(n)
	case "/cut":
		n, _ := strconv.Atoi(req.FormValue("n"))
		if n == 0 {
			h.Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "short")
			return
		}
		h.Set("Content-Type", "text/html")
		h.Set("Content-Length", strconv.Itoa(2*n))
		_, _ = w.Write(noise(n))
	case "/named":
		h.Set("Connection", "Content-Length")
		h.Set("Content-Length", "5")
		_, _ = io.WriteString(w, "whole")
	case "/redirect":
		h.Set("Location", "/echo?followed")
	default:
		body, err := io.ReadAll(req.Body)
		h.Set("Content-Type", "text/plain")
		h.Add("X-Twice", "one")
		h.Add("X-Twice", "two")
		text := fmt.Sprintf("%s %s %s %q %d %v %s\n", req.Method, req.URL.RequestURI(), req.Host, req.Header.Get("X-Field"), len(body), err, body[:min(len(body), 20)])
		h.Set("Content-Length", strconv.Itoa(len(text))) // or it would depend on time whether the front announces it
		_, _ = io.WriteString(w, text)
	}
}

// writePattern writes n bytes that tell where they are.
func writePattern(w io.Writer, n int) {
	for at := 0; at < n; {
		piece := pattern(at, min(n-at, 32<<10))
		if _, err := w.Write(piece); err != nil {
			return
		}
		at += len(piece)
	}
}

func pattern(at, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((at + i) * 7 >> 3)
	}
	return b
}

// noise is text that can be compressed a little.
func noise(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(random.IntN(26))
	}
	return b
}

// eventually waits until ok returns nil.
func eventually(t testing.TB, what string, ok func() error) {
	t.Helper()
	err := errors.New("not yet")
	for end := time.Now().Add(20 * time.Second); err != nil; time.Sleep(5 * time.Millisecond) {
		if err = ok(); err != nil && time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// wantIdle waits until nothing is held of the application.
func (r *rig) wantIdle(t testing.TB) {
	t.Helper()
	eventually(t, "everything was given back", func() error {
		s := r.handler.Snapshot()
		if s.Gate.InUse+s.Gate.Waiting > 0 {
			return fmt.Errorf("%d in use, %d waiting", s.Gate.InUse, s.Gate.Waiting)
		}
		return nil
	})
}
