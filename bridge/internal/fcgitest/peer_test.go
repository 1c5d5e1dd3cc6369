package fcgitest

import (
	"bytes"
	"context"
	"io"
	"testing"
)

// The records of a request with id 258, from the specification: BEGIN_REQUEST
// (responder, keep), PARAMS with a short and a long pair, STDIN, padding.
var request = bytes.Join([][]byte{
	{1, 1, 1, 2, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0},
	{1, 4, 1, 2, 0, 6, 3, 0, 1, 3, 'A', 'b', 'c', 'd', 0, 0, 0},
	{1, 4, 1, 2, 0, 134, 0, 0, 1, 0x80, 0, 0, 128, 'B'},
	bytes.Repeat([]byte{'x'}, 128),
	{1, 4, 1, 2, 0, 0, 0, 0},
	{1, 5, 1, 2, 0, 4, 0, 0, 'b', 'o', 'd', 'y'},
	{1, 5, 1, 2, 0, 0, 0, 0},
}, nil)

func TestPeer(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...Script) *Peer{"memory": Start, "unix": StartUnix} {
		t.Run(name, func(t *testing.T) {
			peer := start(t, Hello, CloseAfterEnd)
			for i := range 2 {
				c, err := peer.Dial(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := c.Write(request); err != nil {
					t.Fatal(err)
				}
				want := append([]byte{1, 6, 1, 2, 0, byte(len(Page)), 0, 0}, Page...)
				want = append(want, 1, 3, 1, 2, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
				got := make([]byte, len(want))
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
					t.Errorf("connection %d: answer %q, %v, want %q", i, got, err, want)
				}
				if i == 1 {
					wantRead(t, c, "", io.EOF)
				}
			}
			got := peer.Requests()
			if len(got) != 2 || peer.Accepted() != 2 {
				t.Fatalf("%d requests on %d connections, want 2 on 2", len(got), peer.Accepted())
			}
			r := got[0]
			if r.ID != 258 || r.Role != 1 || r.Flags != 1 || string(r.Stdin) != "body" || !r.StdinEnded ||
				len(r.Params) != 2 || r.Param("A") != "bcd" || len(r.Param("B")) != 128 || len(r.ParamsRecords) != 2 {
				t.Errorf("request %+v", r)
			}
			peer.Close()
			if n := peer.Open(); n != 0 {
				t.Errorf("%d connections open after Close", n)
			}
		})
	}
}
