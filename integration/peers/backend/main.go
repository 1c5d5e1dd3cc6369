// Command backend is the application behind every peer: Go's net/http/fcgi on a unix
// socket, and net/http on a second one if it is given, doing nothing that costs more than
// the protocol itself. It logs nothing.
//
//	GET  /bytes/N      N bytes, at most 16 MiB
//	GET  /hold/D       nothing for the duration D (a long-poll), then 200 bytes
//	GET  /locked/D     the lock of the session for the duration D, then 200 bytes
//	POST /discard      reads the whole body, then 200 bytes
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"strconv"
	"time"
)

const (
	maxReply   = 16 << 20
	smallReply = 200
)

func main() {
	socket := flag.String("socket", "", "unix socket to listen on, in FastCGI")
	httpSocket := flag.String("http-socket", "", "a second unix socket to listen on, in HTTP")
	workers := flag.Int("workers", 0, "how many connections it serves in FastCGI; it closes others at once; 0: any number")
	flag.Parse()
	if err := serve(*socket, *httpSocket, *workers); err != nil {
		fmt.Fprintln(os.Stderr, "backend:", err)
		os.Exit(1)
	}
}

// serve listens on the FastCGI socket last: a client that can connect there finds both.
func serve(socket, httpSocket string, workers int) error {
	if socket == "" {
		return errors.New("--socket is missing: give the path of the unix socket to listen on")
	}
	app := routes(make([]byte, maxReply))
	ended := make(chan error, 2)
	if httpSocket != "" {
		ln, err := net.Listen("unix", httpSocket)
		if err != nil {
			return err
		}
		go func() { ended <- http.Serve(ln, app) }()
	}
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	go func() { ended <- fcgi.Serve(withThreads(ln, workers), app) }()
	return <-ended
}

func routes(zeros []byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n < 0 || n > len(zeros) {
			http.Error(w, fmt.Sprintf("want a number of bytes from 0 to %d", len(zeros)), http.StatusBadRequest)
			return
		}
		reply(w, zeros[:n])
	})
	mux.HandleFunc("GET /hold/{d}", func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.PathValue("d"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(d):
			reply(w, zeros[:smallReply])
		case <-r.Context().Done():
		}
	})
	var sessions locks
	mux.HandleFunc("GET /locked/{d}", func(w http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.PathValue("d"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		sessions.hold(r, d)
		reply(w, zeros[:smallReply])
	})
	mux.HandleFunc("POST /discard", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply(w, zeros[:smallReply])
	})
	return mux
}

// reply declares its length, as real applications do; without it every proxy
// would have to chunk.
func reply(w http.ResponseWriter, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // fails only if the proxy has gone; nobody is left to tell
}
