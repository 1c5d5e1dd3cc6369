package sendroom

import (
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// What Takes promises is kept, in pieces of every size: each Write that it allows returns although the
// peer reads nothing.
func TestTakes(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, piece := range []int{1, 100, 1460, 16 << 10, 60 << 10} {
			client, peer := pair(t, network)
			s, wrote := Of(client), 0
			for s.Takes(piece) && wrote < 32<<20 {
				n, err := client.Write(make([]byte, piece))
				if wrote += n; err != nil {
					t.Fatalf("%s: a Write of %d bytes after %d: %v", network, piece, wrote-n, err)
				}
			}
			if wrote == 0 || s.Takes(1<<20) {
				t.Errorf("%s, pieces of %d bytes: %d bytes were written", network, piece, wrote)
			}
			go func() {
				buf := make([]byte, 64<<10)
				for {
					if _, err := peer.Read(buf); err != nil {
						return
					}
				}
			}()
			for end := time.Now().Add(10 * time.Second); !s.Takes(piece); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%s: no room for %d bytes although the peer reads", network, piece)
				}
			}
		}
	}
}

func TestOf(t *testing.T) {
	client, _ := pair(t, "tcp")
	if !Of(tls.Client(client, new(tls.Config))).Takes(100) {
		t.Error("an unused connection below TLS has no room")
	}
	inMemory, _ := net.Pipe()
	if Of(inMemory) != nil {
		t.Error("a connection that is no socket tells its room")
	}
	room := Of(client)
	_ = client.Close()
	if room.Takes(0) {
		t.Error("a closed connection has room")
	}
}

// pair returns two ends of a connection. Writing to the first ends after some seconds.
func pair(t *testing.T, network string) (client, peer net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "socket")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if peer, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); peer.Close() })
	for _, c := range []net.Conn{client, peer} { // small buffers are soon full
		buffers := c.(interface {
			SetReadBuffer(int) error
			SetWriteBuffer(int) error
		})
		if err := errors.Join(buffers.SetReadBuffer(32<<10), buffers.SetWriteBuffer(128<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.SetWriteDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return client, peer
}
