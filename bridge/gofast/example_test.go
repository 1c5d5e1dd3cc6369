package gofast_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"

	"github.com/yookoala/gofast"

	"github.com/sluice-proxy/sluice/bridge"
	sluicegofast "github.com/sluice-proxy/sluice/bridge/gofast"
)

func ExampleConnFactory() {
	// An application, in place of php-fpm.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	go func() {
		_ = fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, r.Method, r.URL.Path, fcgi.ProcessEnv(r)["SCRIPT_FILENAME"])
		}))
	}()

	h, err := bridge.New(context.Background(), bridge.Config{ApplicationConfig: bridge.ApplicationConfig{
		Backends: []string{l.Addr().String()}, Workers: 4,
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()

	session := gofast.Chain(gofast.BasicParamsMap, gofast.MapHeader, gofast.MapEndpoint("/srv/app/index.php"))(gofast.BasicSession)
	site := httptest.NewServer(gofast.NewHandler(session, gofast.SimpleClientFactory(sluicegofast.ConnFactory(h))))
	defer site.Close()

	res, err := http.Get(site.URL + "/wiki/start")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	fmt.Print(string(body), err)
	// Output:
	// GET /wiki/start /srv/app/index.php
	// <nil>
}
