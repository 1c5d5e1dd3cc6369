package lastcall

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Clients connect while a socket is closed, and it is accepted from slowly: each of them is refused, or
// accepted; none is reset.
func TestClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for network, addr := range map[string]string{"tcp": "127.0.0.1:0", "unix": path} {
		t.Run(network, func(t *testing.T) {
			var plain net.ListenConfig
			plain.SetMultipathTCP(false)
			owner, err := plain.Listen(t.Context(), network, addr)
			if err != nil {
				t.Fatal(err)
			}
			file, err := owner.(interface{ File() (*os.File, error) }).File()
			if err != nil {
				t.Fatal(err)
			}
			accepts, err := net.FileListener(file)
			if err != nil {
				t.Fatal(err)
			}
			file.Close()
			var serving, clients sync.WaitGroup
			serving.Go(func() {
				for {
					c, err := accepts.Accept()
					if err != nil {
						return
					}
					time.Sleep(time.Millisecond)
					c.Write([]byte("x"))
					c.Close()
				}
			})
			closing := make(chan struct{})
			var served, refused atomic.Int64
			for range 8 {
				clients.Go(func() {
					for {
						c, err := net.DialTimeout(network, owner.Addr().String(), 300*time.Millisecond)
						if err != nil {
							select {
							case <-closing:
								refused.Add(1)
							default:
								t.Errorf("refused too early: %v", err)
							}
							return
						}
						if n, err := c.Read(make([]byte, 1)); n != 1 {
							t.Errorf("a client that was connected got nothing: %v", err)
						}
						served.Add(1)
						c.Close()
					}
				})
			}
			time.Sleep(50 * time.Millisecond)
			close(closing)
			Close(owner)
			accepts.Close()
			serving.Wait()
			clients.Wait()
			if served.Load() < 8 || refused.Load() == 0 {
				t.Errorf("%d served, %d refused", served.Load(), refused.Load())
			}
			if _, err := os.Stat(path); network == "unix" && err == nil {
				t.Error("the file is still there")
			}
		})
	}
}
