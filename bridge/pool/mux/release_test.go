package mux

import (
	"fmt"
	"net"
	"net/http"
	"net/http/fcgi"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/socket"
	"github.com/sluice-proxy/sluice/bridge/upstream"
)

// socketLoop is a Loop of one real connection, which it looks after all the time.
type socketLoop struct{ *testLoop }

func (l socketLoop) Watch(c *Conn, _ int, _ bool) error {
	if l.conn == nil {
		l.conn = c
		l.served.Go(func() {
			for l.Post(func() {
				if l.conn != nil {
					l.conn.Ready(true, false, true)
				}
			}) {
				time.Sleep(100 * time.Microsecond)
			}
		})
	}
	return nil
}

// When its loop ends, a connection is driven by goroutines: nothing of the requests in progress is lost,
// whatever part of them is written, or held.
func TestRelease(t *testing.T) {
	const requests = 40
	for _, after := range []time.Duration{0, 300 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 30 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				_ = fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(time.Millisecond)
					fmt.Fprintf(w, "%s%0*d", r.URL.Path, 40<<10, 0)
				}))
			}()
			nc, err := socket.Dial(t.Context(), "unix", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			var in upstream.Buffer
			in.Reset(codec.NewDecoder(), 1<<10)
			loop := socketLoop{startTestLoop()}
			of := &calls{budget: budget{size: 64 << 20}}
			c := New(nc, in, Config{
				Codec: codec, Memory: of, SendTimeout: func() time.Duration { return time.Minute },
				Recheck: func() error { return nil }, Retire: func() {}, Lost: func() {}, Loop: loop,
			})
			var all sync.WaitGroup
			for i := range requests {
				all.Go(func() {
					path := fmt.Sprintf("/%d", i)
					out, err := answer(open(t, c, path))
					want := len("Status: 200 OK\r\n") + len(path) + 40<<10
					if err != nil || len(out) < want || out[len(out)-(40<<10)-len(path):len(out)-(40<<10)] != path {
						t.Errorf("%s: %d bytes, %v", path, len(out), err)
					}
				})
			}
			time.Sleep(after)
			loop.stop()
			all.Wait()
			c.Close()
			if of.used != 0 {
				t.Errorf("%d bytes were not released", of.used)
			}
		})
	}
}
