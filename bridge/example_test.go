package bridge_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"
	"net/http/httputil"
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
	h, err := bridge.New(context.Background(), bridge.Config{
		ApplicationConfig: bridge.ApplicationConfig{Backends: []string{"unix:" + l.Addr().String()}, Workers: 16},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()

	res := httptest.NewRecorder()
	h.ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/wiki/Start", nil))
	fmt.Println(res.Code, res.Body)
	// Output: 200 GET /wiki/Start
}

// A reverse proxy that balances, caches or rewrites in this process can have the application
// behind it through a Transport.
func ExampleTransport() {
	// An application that speaks FastCGI.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s for %s", r.Method, r.URL.Path, r.Host)
	}))

	h, err := bridge.New(context.Background(), bridge.Config{
		ApplicationConfig: bridge.ApplicationConfig{Backends: []string{l.Addr().String()}, Workers: 16},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetXForwarded()
			p.Out.Host = "wiki.example.org"
		},
		Transport: &bridge.Transport{Handler: h},
	})
	defer proxy.Close()

	res, err := http.Get(proxy.URL + "/wiki/Start")
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	fmt.Println(res.StatusCode, string(body), err)
	// Output: 200 GET /wiki/Start for wiki.example.org <nil>
}

// Two sites in front of one application share its workers, and each of them closes by itself.
func ExampleApplication() {
	app, err := bridge.NewApplication(bridge.ApplicationConfig{Backends: []string{"unix:/run/php-fpm.sock"}, Workers: 8, Preset: "php"}, bridge.ApplicationHooks{})
	if err != nil {
		log.Fatal(err)
	}
	defer app.Close()
	for pattern, root := range map[string]string{"wiki.example.org/": "/srv/wiki", "shop.example.org/": "/srv/shop"} {
		site, err := app.Handler(bridge.SiteConfig{Root: root}, bridge.SiteHooks{})
		if err != nil {
			log.Fatal(err)
		}
		defer site.Close()
		http.Handle(pattern, site)
	}
	if err := app.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}
