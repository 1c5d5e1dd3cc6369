package pool_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/fcgi"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/upstream"
	"github.com/sluice-proxy/sluice/bridge/upstream/fastcgi"
)

func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))

	p, err := pool.New(pool.Config{
		Codec:   fastcgi.Codec{},
		Workers: 2,
		Instances: []pool.Instance{{Addr: l.Addr().String(), Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", l.Addr().String())
		}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()

	lease, err := p.Lease(context.Background(), pool.Demand{})
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()

	request := upstream.Request{Vars: []cgi.Var{
		{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"}, {Name: "REQUEST_URI", Value: "/"},
	}}
	if _, err := lease.Begin(nil, &request, nil, true); err != nil {
		log.Fatal(err)
	}
	for {
		ev, err := lease.Next(time.Now().Add(10 * time.Second))
		if err != nil {
			log.Fatal(err)
		}
		if ev.Kind == upstream.End {
			break
		}
		if status, _, found := strings.Cut(string(ev.Data), "\r\n"); found {
			fmt.Println(status)
		}
	}
	// Output: Status: 204 No Content
}
