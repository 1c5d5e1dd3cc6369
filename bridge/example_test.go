package bridge_test

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/sluice-proxy/sluice/bridge"
)

func Example() {
	// An application that speaks FastCGI on a unix socket.
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "app.sock"))
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
	}))

	// The gate in front of it: an http.Handler.
	b, err := bridge.New(bridge.Config{
		ApplicationConfig: bridge.ApplicationConfig{Backends: []string{"unix:" + l.Addr().String()}, Workers: 16},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	res := httptest.NewRecorder()
	b.ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/wiki/Start", nil))
	fmt.Println(res.Code, res.Body)
	// Output: 200 GET /wiki/Start
}
