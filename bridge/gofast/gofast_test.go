package gofast_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yookoala/gofast"

	"github.com/sluice-proxy/sluice/bridge"
	sluicegofast "github.com/sluice-proxy/sluice/bridge/gofast"
	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m)) }

// site is a program that uses gofast, in front of an application.
func site(t *testing.T, workers int, app http.HandlerFunc) (*bridge.Handler, *httptest.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = fcgi.Serve(l, app)
	}()
	h, err := bridge.New(t.Context(), bridge.Config{ApplicationConfig: bridge.ApplicationConfig{
		Backends: []string{l.Addr().String()}, Workers: workers,
	}, ApplicationHooks: bridge.ApplicationHooks{Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	session := gofast.Chain(gofast.BasicParamsMap, gofast.MapHeader, gofast.MapEndpoint("/srv/app.php"))(gofast.BasicSession)
	handler := gofast.NewHandler(session, gofast.SimpleClientFactory(sluicegofast.ConnFactory(h)))
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.Close()
		_ = h.Close()
		_ = l.Close()
		<-served
	})
	return h, s
}

// ask returns the status and the body of an answer.
func ask(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, string(b)
}

func request(t *testing.T, ctx context.Context, url, body string) *http.Request {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each request has its own answer, and there are never more connections than workers.
func TestRequests(t *testing.T) {
	var mu sync.Mutex
	busy, most := 0, 0
	h, s := site(t, 3, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		busy++
		most = max(most, busy)
		mu.Unlock()
		n, _ := io.Copy(io.Discard, r.Body)
		mu.Lock()
		busy--
		mu.Unlock()
		fmt.Fprint(w, r.URL.Query().Get("n"), " ", n)
	})
	var clients sync.WaitGroup
	for i := range 40 {
		clients.Go(func() {
			body := strings.Repeat("x", i<<12)
			status, got := ask(t, request(t, t.Context(), fmt.Sprintf("%s/?n=%d", s.URL, i), body))
			if want := fmt.Sprint(i, " ", i<<12); status != http.StatusOK || got != want {
				t.Errorf("%d %q, want %q", status, got, want)
			}
		})
	}
	clients.Wait()
	if most > 3 {
		t.Errorf("%d requests at once", most)
	}
	if n := h.InFlight(); n != 0 {
		t.Errorf("%d requests are in flight", n)
	}
}

// A client that leaves is not waited for: its place in the queue is free.
func TestClientLeaves(t *testing.T) {
	release := make(chan struct{})
	h, s := site(t, 1, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-release
		}
		fmt.Fprint(w, "ok")
	})
	var holder sync.WaitGroup
	holder.Go(func() { ask(t, request(t, t.Context(), s.URL+"/hold", "")) })
	until(t, func() bool { return h.InFlight() == 1 })
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(request(t, ctx, s.URL+"/waits", ""))
		left <- err
	}()
	until(t, func() bool { return h.InFlight() == 2 })
	leave()
	if <-left == nil {
		t.Error("it was answered")
	}
	until(t, func() bool { return h.InFlight() == 1 })
	close(release)
	holder.Wait()
	if status, body := ask(t, request(t, t.Context(), s.URL+"/", "")); status != http.StatusOK || body != "ok" {
		t.Errorf("%d %q", status, body)
	}
}

// until waits for a state that others bring about.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it does not come about")
		}
	}
}

// What the gate refuses is an answer, also after the handler was closed.
func TestRefusal(t *testing.T) {
	h, s := site(t, 1, func(w http.ResponseWriter, r *http.Request) {})
	h.Refuse()
	if status, body := ask(t, request(t, t.Context(), s.URL+"/", "")); status != http.StatusServiceUnavailable || !strings.HasPrefix(body, "503 ") {
		t.Errorf("%d %q", status, body)
	}
}
