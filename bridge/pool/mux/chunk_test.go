package mux

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/sluice-proxy/sluice/bridge/internal/fcgitest"
)

// Answers that wait for their owners are charged until the owners have taken them, or have
// left.
func TestWaitingAnswersAreCharged(t *testing.T) {
	onConn(t, 1<<30, fcgitest.MuxBig(40<<10), func(t *testing.T, c *Conn, b *calls) {
		var streams []*Stream
		for range 5 {
			streams = append(streams, open(t, c, "/"))
		}
		synctest.Wait()
		if b.used < 5*38<<10 || b.used > 5*streamBuffer {
			t.Errorf("%d bytes are charged for five answers of 40 KiB that wait", b.used)
		}
		for i, s := range streams {
			if i%2 == 1 {
				s.Leave(false)
			} else if out, err := answer(s); err != nil || len(out) < 40<<10 {
				t.Errorf("%d bytes, %v", len(out), err)
			}
		}
		if b.used != 0 {
			t.Errorf("%d bytes were not released", b.used)
		}
	})
}

// Answers arrive without any memory left, in small pieces.
func TestNoMemoryLeft(t *testing.T) {
	const n = 300 << 10
	for _, size := range []int{0, 20 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			onConn(t, size, fcgitest.MuxBig(n), func(t *testing.T, c *Conn, b *calls) {
				var all sync.WaitGroup
				for range 6 {
					s := c.Open()
					all.Go(func() {
						send(t, s, "/")
						if out, err := answer(s); err != nil || strings.Count(out, "x") < n {
							t.Errorf("%d bytes, %v", len(out), err)
						}
					})
				}
				all.Wait()
				if b.refused == 0 {
					t.Error("nothing was refused")
				}
			})
		})
	}
}
