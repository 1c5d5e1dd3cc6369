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

	wire "github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/pool"
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

	id := lease.RequestID()
	request := wire.AppendBeginRequest(nil, id, wire.BeginRequest{Role: wire.RoleResponder, Flags: wire.FlagKeepConn})
	params := wire.NewParamsWriter(request, id)
	for _, pair := range [][2]string{{"REQUEST_METHOD", "GET"}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"REQUEST_URI", "/"}} {
		if err := params.Add(pair[0], pair[1]); err != nil {
			log.Fatal(err)
		}
	}
	request = wire.AppendStreamEnd(params.End(), wire.TypeStdin, id)
	if err := lease.Write(request); err != nil {
		log.Fatal(err)
	}
	lease.SendDone()
	for {
		ev, err := lease.Next(time.Now().Add(10 * time.Second))
		if err != nil {
			log.Fatal(err)
		}
		if ev.Type == wire.TypeEndRequest {
			break
		}
		if status, _, found := strings.Cut(string(ev.Data), "\r\n"); found {
			fmt.Println(status)
		}
	}
	// Output: Status: 204 No Content
}
