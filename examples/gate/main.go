// Gate is a whole program with the library: an HTTP server in front of an application that speaks
// FastCGI, with a page of the present state, and an end that loses no request.
//
//	go run ./examples/gate -backend unix:/run/app.sock -workers 16
//
// The application is at http://127.0.0.1:8080/, the page at http://127.0.0.1:9180/.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/page"
	"github.com/sluice-proxy/sluice/bridge/status"
)

// grace is how long requests may take to finish when the program is told to end.
const grace = 30 * time.Second

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "serve HTTP at `ADDR`")
	statusAt := flag.String("status", "127.0.0.1:9180", "serve the page, /status.json and /healthz at `ADDR`")
	backend := flag.String("backend", "", "the application's `ADDR`: unix:/path or host:port")
	workers := flag.Int("workers", 4, "how many requests the application can hold at once")
	flag.Parse()
	if err := run(*listen, *statusAt, *backend, *workers); err != nil {
		slog.Error("the gate has ended", "error", err)
		os.Exit(1)
	}
}

// run serves until SIGTERM or an interrupt.
func run(listen, statusAt, backend string, workers int) error {
	stop, stopped := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stopped()

	// The gate is an http.Handler. In a mux it could be one of several.
	gate, err := bridge.New(stop, bridge.Config{
		ApplicationConfig: bridge.ApplicationConfig{Backends: []string{backend}, Workers: workers},
	})
	if err != nil {
		return err
	}
	defer gate.Close()

	front, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer front.Close()
	back, err := net.Listen("tcp", statusAt)
	if err != nil {
		return err
	}
	defer back.Close()

	// Requests have a context that ends them when the time is over.
	requests, cut := context.WithCancelCause(context.Background())
	defer cut(nil)
	server := &http.Server{
		Handler:           gate,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       75 * time.Second,
	}
	live := page.New(page.Options{Applications: func() []page.Named {
		return []page.Named{{Name: "app", Application: gate.Application()}}
	}})
	defer live.Close()
	state := &http.Server{Handler: statusHandler(live, gate), ReadHeaderTimeout: 10 * time.Second}
	defer state.Close()

	failed := make(chan error, 2)
	go func() { failed <- server.Serve(front) }()
	go func() { failed <- state.Serve(back) }()
	slog.Info("serving", "listen", front.Addr().String(), "status", back.Addr().String())
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	return drain(server, gate, cut)
}

// statusHandler serves the page and the JSON of the state. It is for this machine alone: Guard keeps other web
// pages from reading it.
func statusHandler(live *page.Page, gate *bridge.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", status.Handler(gate.Snapshot))
	for _, path := range []string{"/{$}", "/static/", "/view.json", "/stream"} {
		mux.Handle(path, live)
	}
	return status.Guard(mux, nil, nil)
}

// drain ends the server: what has begun may finish, within the grace; nobody is cut without being told.
func drain(server *http.Server, gate *bridge.Handler, cut context.CancelCauseFunc) error {
	slog.Info("draining", "in_flight", gate.InFlight())
	gate.Refuse() // new requests get 503
	ctx, done := context.WithTimeout(context.Background(), grace)
	defer done()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		cut(bridge.ErrShutdown)            // what is left gets 503, or is cut
		time.Sleep(100 * time.Millisecond) // for the 503s to be sent
		err = server.Close()
	}
	slog.Info("drained")
	return err
}
