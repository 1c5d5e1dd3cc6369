// Command backend is the application behind every peer: Go's net/http/fcgi on a unix
// socket, and net/http on a second one, doing nothing that costs more than the protocol
// itself. It logs nothing.
//
//	GET  /bytes/N      N bytes, at most 16 MiB
//	GET  /hold/D       nothing for the duration D (a long-poll), then 200 bytes
//	POST /discard      reads the whole body, then 200 bytes
package main

import (
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
	httpSocket := flag.String("http-socket", "", "unix socket to listen on, in HTTP")
	flag.Parse()
	if err := serve(*socket, *httpSocket); err != nil {
		fmt.Fprintln(os.Stderr, "backend:", err)
		os.Exit(1)
	}
}

func serve(socket, httpSocket string) error {
	if socket == "" || httpSocket == "" {
		return fmt.Errorf("--socket or --http-socket is missing: give the paths of the unix sockets to listen on")
	}
	inHTTP, err := net.Listen("unix", httpSocket)
	if err != nil {
		return err
	}
	inFastCGI, err := net.Listen("unix", socket) // last: whoever can connect to it finds both
	if err != nil {
		return err
	}
	app := routes(make([]byte, maxReply))
	ended := make(chan error, 2)
	go func() { ended <- http.Serve(inHTTP, app) }()
	go func() { ended <- fcgi.Serve(inFastCGI, app) }()
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
