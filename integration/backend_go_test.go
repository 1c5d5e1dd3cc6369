//go:build linux

package integration

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestGoFCGI(t *testing.T) {
	conform(t, startGo(t, 4))
}

// startGo serves the routes with net/http/fcgi, inside the test's process.
func startGo(t testing.TB, workers int) backend {
	t.Helper()
	path := filepath.Join(socketDir(t), "go.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- fcgi.Serve(l, goRoutes()) }()
	t.Cleanup(func() {
		l.Close()
		<-served
	})
	return backend{addr: "unix:" + path, workers: workers, ownVars: true}
}

func goRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello\n")
	})
	mux.HandleFunc("/params/", goParams)
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.FormValue("t"))
	})
	mux.HandleFunc("/status", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(number(r, "code"))
	})
	mux.HandleFunc("/cookies", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
	})
	mux.HandleFunc("/short", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, "0123456789")
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "early\n")
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	})
	mux.HandleFunc("/body", goBody)
	mux.HandleFunc("/pattern", goPattern)
	mux.HandleFunc("/download", goDownload)
	mux.HandleFunc("/stream", goStream)
	mux.HandleFunc("/wait", goWait)
	return mux
}

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.FormValue(name))
	return n
}

func goParams(w http.ResponseWriter, r *http.Request) {
	// What net/http/fcgi made part of the request is not in ProcessEnv.
	fmt.Fprintf(w, "REQUEST_METHOD=%s\nREQUEST_URI=%s\nQUERY_STRING=%s\n", r.Method, r.URL.RequestURI(), r.URL.RawQuery)
	for k, v := range fcgi.ProcessEnv(r) {
		fmt.Fprintf(w, "%s=%s\n", k, v)
	}
}

func goBody(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "content_length=%d\nlength=%d\nsha256=%x\n", r.ContentLength, n, sum.Sum(nil))
}

// goPattern answers with how much of the pattern the body is; only Go has it.
func goPattern(w http.ResponseWriter, r *http.Request) {
	c := newPatternChecker()
	_, err := io.Copy(c, r.Body)
	fmt.Fprintf(w, "%d bytes, error %v", c.n, err)
}

func goDownload(w http.ResponseWriter, r *http.Request) {
	n := number(r, "n")
	w.Header().Set("Content-Length", strconv.Itoa(n))
	for block := pattern(); n > 0; n -= len(block) {
		if _, err := w.Write(block[:min(n, len(block))]); err != nil {
			return
		}
	}
}

func goStream(w http.ResponseWriter, r *http.Request) {
	gate, err := os.Open(filepath.Join(r.FormValue("gate"), "go"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer gate.Close()
	switch r.FormValue("kind") {
	case "events":
		w.Header().Set("Content-Type", "text/event-stream")
	case "accel":
		w.Header().Set("X-Accel-Buffering", "no")
	}
	for i := range number(r, "n") {
		fmt.Fprintf(w, "data: %d\n\n", i)
		w.(http.Flusher).Flush()
		gate.Read(make([]byte, 1))
	}
}

func goWait(w http.ResponseWriter, r *http.Request) {
	gate, err := os.Open(filepath.Join(r.FormValue("gate"), "go"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer gate.Close()
	if err := os.WriteFile(filepath.Join(r.FormValue("gate"), "in"), []byte{'i'}, 0); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	gate.Read(make([]byte, 1))
	io.WriteString(w, "waited\n")
}
